//! How conversations are made, changed and joined.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use backchannel_domain::conversations::{self, ConversationChange, NewConversation};
use backchannel_domain::members::{self, Entry};
use backchannel_domain::{ConversationId, TemplateId};

use crate::error::Result;
use crate::id::{Global as _, parse_all};
use crate::join_requests::JoinRequest;
use crate::rooms::room_named;
use crate::scalars::change;
use crate::scope::Scope;
use crate::settings::ConversationSettingsInput;

use super::{Conversation, ConversationKind};

/// A conversation to make. A DIRECT one names the other member; asking again returns the
/// one that exists.
#[derive(InputObject)]
struct CreateConversationInput {
    /// What it shall be.
    kind: ConversationKind,
    /// The other members, at most 200; the viewer is one in any case.
    member_ids: Vec<ID>,
    /// Title, 1 to 100 characters; a DIRECT conversation has none.
    title: Option<String>,
    /// Name in addresses, for a ROOM: 1 to 64 lower-case letters, digits and single dashes. Without one
    /// it is made of the title: its ASCII letters and digits, with dashes for spaces.
    slug: Option<String>,
    /// What it is about: at most 10 tags, each 1 to 32 lower-case letters, digits and single dashes. A
    /// DIRECT conversation has none.
    tags: Option<Vec<String>>,
    /// A template of the viewer's, of the same kind: what is not given here is as there, and its
    /// members are added to those given. A slug is not saved: a ROOM has the one given, or that of its
    /// title.
    template_id: Option<ID>,
}

/// The answer to `createConversation`.
#[derive(SimpleObject)]
struct CreateConversationPayload {
    /// The conversation.
    conversation: Conversation,
}

/// What is to change of a conversation. What is left out stays as it is. Null takes title, description
/// or picture away, and leaves the rest as it is.
#[derive(InputObject)]
struct UpdateConversationInput {
    /// Which.
    conversation_id: ID,
    /// Title, 1 to 100 characters.
    title: MaybeUndefined<String>,
    /// What it is about, 1 to 500 characters.
    description: MaybeUndefined<String>,
    /// Absolute http or https URL of the picture, at most 2,048 bytes.
    avatar_url: MaybeUndefined<String>,
    /// Its tags from now on, an empty list for none: at most 10, each 1 to 32 lower-case letters,
    /// digits and single dashes.
    tags: Option<Vec<String>>,
    /// How it is set: for owners and admins.
    settings: Option<ConversationSettingsInput>,
}

/// The answer to `updateConversation`.
#[derive(SimpleObject)]
struct UpdateConversationPayload {
    /// The conversation, as it is now.
    conversation: Conversation,
}

/// Which room to join: `slug` or `conversationId`.
#[derive(InputObject)]
struct JoinRoomInput {
    /// Its slug.
    slug: Option<String>,
    /// Its identifier: not every room has a slug.
    conversation_id: Option<ID>,
}

/// The answer to `joinRoom`.
#[derive(SimpleObject)]
struct JoinRoomPayload {
    /// The room; null where the viewer has only asked to join.
    conversation: Option<Conversation>,
    /// The viewer's request, where that is how the room is set.
    join_request: Option<JoinRequest>,
}

#[derive(Default)]
pub(crate) struct ConversationsMutation;

#[Object]
impl ConversationsMutation {
    /// Makes a conversation; its maker becomes its OWNER (in a DIRECT one, both are MEMBER).
    /// FORBIDDEN where the other of a DIRECT one must be asked first, by `requestChat`; and where
    /// one of the members and the viewer block each other.
    /// Founding members join with the conversation itself, not by events.
    async fn create_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: CreateConversationInput,
    ) -> Result<CreateConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let CreateConversationInput {
            kind,
            member_ids,
            title,
            slug,
            tags,
            template_id,
        } = input;
        let members = parse_all(&member_ids)?;
        let (title, slug) = (title.as_deref(), slug.as_deref());
        let mut new = NewConversation::parse(kind.into(), members, title, slug)?;
        if let Some(tags) = tags {
            new = new.tagged(tags)?;
        }
        if let Some(id) = template_id {
            new = new.like(TemplateId::parse(&id)?);
        }
        let row = conversations::create(scope.cx(), new).await?;
        Ok(CreateConversationPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }

    /// Changes what a conversation is called and looks like, by a ConversationUpdated event. Any member of a
    /// GROUP may; in a CHANNEL or ROOM, owners and admins; a DIRECT one is FORBIDDEN. How it is set,
    /// owners and admins change; in a DIRECT one both may set `retentionSeconds`, and that alone.
    async fn update_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which, and what is to change.")] input: UpdateConversationInput,
    ) -> Result<UpdateConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let change = ConversationChange::parse(
            change(input.title),
            change(input.description),
            change(input.avatar_url),
        )?
        .tagged(input.tags)?
        .with_settings(input.settings.map(Into::into))?;
        let row = conversations::update(scope.cx(), id, change).await?;
        Ok(UpdateConversationPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }

    /// Joins a ROOM, by a MemberJoined event: anyone who is signed in may, and leaves by `removeMember`.
    /// NOT_FOUND where there is no such ROOM. To join again changes nothing. Where it `joinsByRequest`, this
    /// asks to join, as `requestToJoin` does. FORBIDDEN to who is banned, and while it is archived. Who comes
    /// into a room that everybody has left is its OWNER, also of an archived one.
    async fn join_room(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which room.")] input: JoinRoomInput,
    ) -> Result<JoinRoomPayload> {
        let scope = Scope::of(ctx);
        let room = room_named(input.conversation_id.as_ref(), input.slug.as_deref())?;
        let (conversation, join_request) =
            entered(scope, members::join_room(scope.cx(), room).await?);
        Ok(JoinRoomPayload {
            conversation,
            join_request,
        })
    }
}

/// What became of it that the viewer wanted to come in.
pub(crate) fn entered(scope: &Scope, entry: Entry) -> (Option<Conversation>, Option<JoinRequest>) {
    match entry {
        Entry::In(row) => (Some(Conversation::new(scope, row)), None),
        Entry::Asked(row) => (None, Some(JoinRequest::new(scope, row))),
    }
}
