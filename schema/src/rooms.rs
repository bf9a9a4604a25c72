//! Finding rooms.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use backchannel_domain::ConversationId;
use backchannel_domain::conversations::{self, RoomPosition, RoomQuery, Tagged};
use backchannel_domain::page::{End, PageArgs};

use crate::connection::{
    Connection, List, RawPageArgs, count_cursor, page_cost, parse_count_cursor,
};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::scalars::int;
use crate::scope::Scope;

/// A tag, and how many rooms have it.
#[derive(SimpleObject)]
struct RoomTag {
    /// The tag.
    tag: String,
    /// How many rooms have it.
    room_count: i32,
}

impl From<Tagged> for RoomTag {
    fn from(row: Tagged) -> Self {
        Self {
            tag: row.tag,
            room_count: int(row.rooms),
        }
    }
}

#[derive(Default)]
pub(crate) struct RoomsQuery;

#[Object]
impl RoomsQuery {
    /// The rooms there are, those with most members first; archived ones are left out, and those from
    /// which the viewer is banned.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn rooms(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Only those that it finds: each of its words begins a word of the title or slug. 2 to 100 characters, at most 8 words."
        )]
        query: Option<String>,
        #[graphql(desc = "Only those with this tag.")] tag: Option<String>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Conversation>> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (member_count, id) = parse_count_cursor(List::Rooms, cursor)?;
            let id = ConversationId(id);
            Some(RoomPosition { member_count, id })
        })?
        .check(End::Start)?;
        let query = RoomQuery::parse(query.as_deref(), tag.as_deref())?;
        let page = conversations::list_rooms(scope.cx(), &query, &request).await?;
        type Placed = (RoomPosition, conversations::Conversation);
        let cursor =
            |(place, _): &Placed| count_cursor(List::Rooms, place.member_count, place.id.0);
        Ok(Connection::of(&page, cursor, |(_, row)| {
            Conversation::new(scope, Arc::new(row.clone()))
        }))
    }

    /// The tags that most rooms have.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn room_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many at most: 1 to 200, 50 by default.")] first: Option<i32>,
    ) -> Result<Vec<RoomTag>> {
        let args: PageArgs<()> = PageArgs {
            first,
            after: None,
            last: None,
            before: None,
        };
        let most = args.check(End::Start)?.size;
        let tags = conversations::popular_tags(Scope::of(ctx).cx(), most).await?;
        Ok(tags.into_iter().map(Into::into).collect())
    }
}
