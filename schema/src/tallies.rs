//! Lists of those who did the same to a message.

use std::sync::Arc;

use backchannel_domain::UserId;
use backchannel_domain::page::{End, Page, PageRequest};
use backchannel_domain::tallies::TallyPosition;
use backchannel_domain::users::User as Row;
use futures_util::future::try_join_all;

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::error::Result;
use crate::scope::Scope;
use crate::users::User;

/// Which page of such a list is asked for.
pub(crate) fn parse_page(list: List, args: RawPageArgs) -> Result<PageRequest<TallyPosition>> {
    let args = args.decode(|cursor| {
        let (at, id) = parse_time_cursor(list, cursor)?;
        let user_id = UserId(id);
        Some(TallyPosition { at, user_id })
    })?;
    Ok(args.check(End::Start)?)
}

/// The users of a page.
pub(crate) async fn users(
    scope: &Scope,
    list: List,
    page: &Page<TallyPosition>,
) -> Result<Connection<User>> {
    let users = page.items.iter().map(|position| async {
        let user = scope.loaders().user(position.user_id).await?;
        Result::Ok((*position, user))
    });
    let page = Page {
        items: try_join_all(users).await?,
        has_next: page.has_next,
        has_previous: page.has_previous,
    };
    let cursor = |(position, _): &(TallyPosition, Arc<Row>)| {
        time_cursor(list, position.at, position.user_id.0)
    };
    let node = |(_, row): &(TallyPosition, Arc<Row>)| User::new(scope, Arc::clone(row));
    Ok(Connection::of(&page, cursor, node))
}
