//! One loader for each relation: what the fields of one answer ask for at the same time is
//! fetched in one statement.
//!
//! Loaders live as long as their scope, so nothing is cached beyond one answer. They are
//! made when first used: an idle stream keeps none.
//!
//! 1. [`gathering`] brings together what is asked for at the same time.
//! 2. [`sources`] and [`tallies`] say how each relation is fetched.
//! 3. Most relations are the same for whoever looks. Where one is not, the loaders remember it: the
//!    answer is nobody else's ([`Loaders::are_for_all`]).

mod gathering;
mod sources;
mod tallies;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backchannel_domain::bans::{self, Ban, BanPosition};
use backchannel_domain::calls::Call;
use backchannel_domain::conversations::Conversation;
use backchannel_domain::conversations::states::State;
use backchannel_domain::invitations::{self, Invitation, InvitationPosition};
use backchannel_domain::join_requests::{self, JoinAskPosition, JoinRequest};
use backchannel_domain::members::{JoinPosition, Member};
use backchannel_domain::messages::pins::{Pin, PinPosition};
use backchannel_domain::messages::threads::{ReaderPosition, ThreadRead, ThreadStanding};
use backchannel_domain::messages::{
    Message, MessageDetail, MessageEdit, MessagePage, MessagesRequest,
};
use backchannel_domain::page::{Page, PageRequest};
use backchannel_domain::polls::{OptionKey, Poll};
use backchannel_domain::presence::Presence;
use backchannel_domain::reactions::ReactionKey;
use backchannel_domain::requests::ChatRequest;
use backchannel_domain::sessions::Session;
use backchannel_domain::tallies::TallyPosition;
use backchannel_domain::templates::Template;
use backchannel_domain::users::User;
use backchannel_domain::{
    CallId, ChatRequestId, ConversationId, Cx, Error, MessageId, Result, SessionId, TemplateId,
    UserId,
};

use self::gathering::Lazy;
use self::sources::{
    BanPages, Calls, ChatRequests, Conversations, DeliveredHere, Details, EditPages,
    InvitationPages, JoinRequestPages, LastMessages, MemberCounts, MemberPages, Members,
    MentionCounts, MessagePages, Messages, Presences, Previews, SeenByCounts, SeenByPages,
    Sessions, ShownReads, States, Tags, Templates, ThreadPages, ThreadReaderPages, ThreadStandings,
    Ties, UnreadCounts, Users,
};
use self::tallies::{
    OwnHidden, OwnReactions, OwnStars, OwnVotes, Pins, Polls, ReactionPages, VoterPages,
};

/// The loaders of a scope.
pub(crate) struct Loaders {
    cx: Cx,
    /// Something was loaded of which others may see something else.
    is_selective: AtomicBool,
    users: Lazy<Users>,
    ties: Lazy<Ties>,
    presences: Lazy<Presences>,
    conversations: Lazy<Conversations>,
    unread_counts: Lazy<UnreadCounts>,
    delivered_here: Lazy<DeliveredHere>,
    shown_reads: Lazy<ShownReads>,
    seen_by_pages: Lazy<SeenByPages>,
    seen_by_counts: Lazy<SeenByCounts>,
    members: Lazy<Members>,
    member_pages: Lazy<MemberPages>,
    member_counts: Lazy<MemberCounts>,
    messages: Lazy<Messages>,
    message_pages: Lazy<MessagePages>,
    details: Lazy<Details>,
    thread_pages: Lazy<ThreadPages>,
    thread_standings: Lazy<ThreadStandings>,
    thread_reader_pages: Lazy<ThreadReaderPages>,
    edit_pages: Lazy<EditPages>,
    own_reactions: Lazy<OwnReactions>,
    reaction_pages: Lazy<ReactionPages>,
    pin_pages: Lazy<Pins>,
    own_stars: Lazy<OwnStars>,
    own_hidden: Lazy<OwnHidden>,
    polls: Lazy<Polls>,
    own_votes: Lazy<OwnVotes>,
    voter_pages: Lazy<VoterPages>,
    previews: Lazy<Previews>,
    ban_pages: Lazy<BanPages>,
    invitation_pages: Lazy<InvitationPages>,
    join_request_pages: Lazy<JoinRequestPages>,
    calls: Lazy<Calls>,
    sessions: Lazy<Sessions>,
    chat_requests: Lazy<ChatRequests>,
    states: Lazy<States>,
    tags: Lazy<Tags>,
    last_messages: Lazy<LastMessages>,
    mention_counts: Lazy<MentionCounts>,
    templates: Lazy<Templates>,
}

impl Loaders {
    pub(crate) fn new(cx: Cx) -> Self {
        Self {
            cx,
            is_selective: AtomicBool::new(false),
            users: Lazy::default(),
            ties: Lazy::default(),
            presences: Lazy::default(),
            conversations: Lazy::default(),
            unread_counts: Lazy::default(),
            delivered_here: Lazy::default(),
            shown_reads: Lazy::default(),
            seen_by_pages: Lazy::default(),
            seen_by_counts: Lazy::default(),
            members: Lazy::default(),
            member_pages: Lazy::default(),
            member_counts: Lazy::default(),
            messages: Lazy::default(),
            message_pages: Lazy::default(),
            details: Lazy::default(),
            thread_pages: Lazy::default(),
            thread_standings: Lazy::default(),
            thread_reader_pages: Lazy::default(),
            edit_pages: Lazy::default(),
            own_reactions: Lazy::default(),
            reaction_pages: Lazy::default(),
            pin_pages: Lazy::default(),
            own_stars: Lazy::default(),
            own_hidden: Lazy::default(),
            polls: Lazy::default(),
            own_votes: Lazy::default(),
            voter_pages: Lazy::default(),
            previews: Lazy::default(),
            ban_pages: Lazy::default(),
            invitation_pages: Lazy::default(),
            join_request_pages: Lazy::default(),
            calls: Lazy::default(),
            sessions: Lazy::default(),
            chat_requests: Lazy::default(),
            states: Lazy::default(),
            tags: Lazy::default(),
            last_messages: Lazy::default(),
            mention_counts: Lazy::default(),
            templates: Lazy::default(),
        }
    }

    /// Whether everybody who may see what was loaded sees the same of it.
    pub(crate) fn are_for_all(&self) -> bool {
        !self.is_selective.load(Ordering::Relaxed)
    }

    fn note(&self, is_selective: bool) {
        if is_selective {
            self.is_selective.store(true, Ordering::Relaxed);
        }
    }

    /// Gives users that are at hand already.
    pub(crate) async fn prime_users(&self, users: &[Arc<User>]) {
        let users = users
            .iter()
            .map(|user| (user.id, Ok(Some(Arc::clone(user)))));
        self.users.prime(&self.cx, users).await;
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<Arc<User>> {
        self.users
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("user"))
    }

    /// A user, if there is one.
    pub(crate) async fn find_user(&self, id: UserId) -> Result<Option<Arc<User>>> {
        self.users.load(&self.cx, id).await
    }

    /// A user's picture, as far as the actor sees it.
    pub(crate) async fn avatar<'u>(&self, user: &'u User) -> Result<Option<&'u str>> {
        self.note(user.is_selective);
        let tie = if user.is_selective {
            self.ties.load(&self.cx, user.id).await?
        } else {
            None
        };
        Ok(tie.unwrap_or_default().avatar_of(user))
    }

    /// A user's presence, as far as the actor sees it.
    pub(crate) async fn presence(&self, id: UserId) -> Result<Presence> {
        let seen = self.presences.load(&self.cx, id).await?;
        let seen = seen.ok_or(Error::NotFound("user"))?;
        self.note(seen.is_selective);
        Ok(seen.presence)
    }

    /// A conversation that the actor sees.
    pub(crate) async fn conversation(&self, id: ConversationId) -> Result<Arc<Conversation>> {
        self.conversations
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("conversation"))
    }

    /// A conversation, if the actor sees it.
    pub(crate) async fn find_conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<Arc<Conversation>>> {
        self.conversations.load(&self.cx, id).await
    }

    pub(crate) async fn unread_count(&self, id: ConversationId) -> Result<i64> {
        Ok(self.unread_counts.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// What the actor has made of a conversation; none for nothing.
    pub(crate) async fn state(&self, id: ConversationId) -> Result<Option<State>> {
        self.states.load(&self.cx, id).await
    }

    pub(crate) async fn tags(&self, id: ConversationId) -> Result<Vec<String>> {
        let found = self.tags.load(&self.cx, id).await?;
        // One who has left meanwhile does not see them; others do.
        self.note(found.is_none());
        Ok(found.unwrap_or_default())
    }

    /// The newest message that the actor sees of a conversation.
    pub(crate) async fn last_message(&self, id: ConversationId) -> Result<Option<Arc<Message>>> {
        self.last_messages.load(&self.cx, id).await
    }

    pub(crate) async fn unread_mention_count(&self, id: ConversationId) -> Result<i64> {
        let count = self.mention_counts.load(&self.cx, id).await?;
        Ok(count.unwrap_or(0))
    }

    /// The actor's own membership of a conversation, if it goes on.
    pub(crate) async fn viewer_membership(
        &self,
        id: ConversationId,
    ) -> Result<Option<Arc<Member>>> {
        let key = (id, self.cx.signed_in()?.user.id);
        let member = self.members.load(&self.cx, key).await?;
        Ok(member.filter(|member| member.left_at.is_none()))
    }

    /// A template of the actor's.
    pub(crate) async fn template(&self, id: TemplateId) -> Result<Arc<Template>> {
        self.templates
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("template"))
    }

    pub(crate) async fn delivered_here(&self, id: ConversationId) -> Result<i64> {
        Ok(self.delivered_here.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// Whether the actor may see how far a user has read.
    pub(crate) async fn shows_reads(&self, id: UserId) -> Result<bool> {
        Ok(self.shown_reads.load(&self.cx, id).await?.is_some())
    }

    pub(crate) async fn seen_by_page(
        &self,
        id: MessageId,
        request: PageRequest<JoinPosition>,
    ) -> Result<Arc<Page<Member>>> {
        Ok(self
            .seen_by_pages
            .load(&self.cx, (request, id))
            .await?
            .unwrap_or_default())
    }

    pub(crate) async fn seen_by_count(&self, id: MessageId) -> Result<i64> {
        Ok(self.seen_by_counts.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// A member, present or past.
    pub(crate) async fn member(&self, id: ConversationId, user_id: UserId) -> Result<Arc<Member>> {
        self.members
            .load(&self.cx, (id, user_id))
            .await?
            .ok_or(Error::NotFound("member"))
    }

    pub(crate) async fn member_page(
        &self,
        id: ConversationId,
        request: PageRequest<JoinPosition>,
    ) -> Result<Arc<Page<Member>>> {
        Ok(self
            .member_pages
            .load(&self.cx, (request, id))
            .await?
            .unwrap_or_default())
    }

    pub(crate) async fn member_count(&self, id: ConversationId) -> Result<i64> {
        Ok(self.member_counts.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// A message that the actor sees.
    pub(crate) async fn message(&self, id: MessageId) -> Result<Arc<Message>> {
        self.messages
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("message"))
    }

    pub(crate) async fn message_page(
        &self,
        id: ConversationId,
        request: MessagesRequest,
    ) -> Result<Arc<MessagePage>> {
        let page = self.message_pages.load(&self.cx, (request, id)).await?;
        let page = page.unwrap_or_default();
        self.note(page.is_selective);
        Ok(page)
    }

    /// A message that another one answers, as far as the actor sees it.
    pub(crate) async fn quoted(&self, id: MessageId) -> Result<Option<Arc<Message>>> {
        let found = self.messages.load(&self.cx, id).await?;
        self.note(found.is_none());
        Ok(found)
    }

    pub(crate) async fn thread_page(
        &self,
        id: MessageId,
        request: PageRequest<i64>,
    ) -> Result<Arc<Page<Arc<Message>>>> {
        let page = self.thread_pages.load(&self.cx, (request, id)).await?;
        Ok(page.unwrap_or_default())
    }

    /// How a message's thread stands to the actor.
    pub(crate) async fn thread_standing(&self, id: MessageId) -> Result<ThreadStanding> {
        let standing = self.thread_standings.load(&self.cx, id).await?;
        Ok(standing.unwrap_or_default())
    }

    pub(crate) async fn thread_reader_page(
        &self,
        id: MessageId,
        request: PageRequest<ReaderPosition>,
    ) -> Result<Arc<Page<ThreadRead>>> {
        let page = self.thread_reader_pages.load(&self.cx, (request, id));
        Ok(page.await?.unwrap_or_default())
    }

    /// A page of what a message was before it was edited.
    pub(crate) async fn edit_page(
        &self,
        message: &Message,
        request: PageRequest<i64>,
    ) -> Result<Arc<Page<MessageEdit>>> {
        let of = (message.id, message.sender_id, message.conversation_id);
        let page = self.edit_pages.load(&self.cx, (request, of)).await?;
        Ok(page.unwrap_or_default())
    }

    /// What there is of a message besides its text, if anything.
    pub(crate) async fn details(&self, message: &Message) -> Result<Option<Arc<MessageDetail>>> {
        if !message.has_details {
            return Ok(None);
        }
        let found = self.details.load(&self.cx, message.id).await?;
        // One who has left meanwhile does not see them; others do.
        self.note(found.is_none());
        Ok(found)
    }

    /// A conversation as it looks to one who is not in it; none for a deleted one.
    pub(crate) async fn preview(&self, id: ConversationId) -> Result<Option<Arc<Conversation>>> {
        self.previews.load(&self.cx, id).await
    }

    /// Who is banned, for those who may see it.
    pub(crate) async fn ban_page(
        &self,
        id: ConversationId,
        request: PageRequest<BanPosition>,
    ) -> Result<Arc<Page<Ban>>> {
        let page = self.ban_pages.load(&self.cx, (request, id)).await?;
        page.ok_or(bans::UNSEEN)
    }

    /// The invitations, for those who may make some.
    pub(crate) async fn invitation_page(
        &self,
        id: ConversationId,
        request: PageRequest<InvitationPosition>,
    ) -> Result<Arc<Page<Invitation>>> {
        let page = self.invitation_pages.load(&self.cx, (request, id)).await?;
        page.ok_or(invitations::UNSEEN)
    }

    /// Who asks to join, for those who answer.
    pub(crate) async fn join_request_page(
        &self,
        id: ConversationId,
        request: PageRequest<JoinAskPosition>,
    ) -> Result<Arc<Page<JoinRequest>>> {
        let pages = &self.join_request_pages;
        let page = pages.load(&self.cx, (request, id)).await?;
        page.ok_or(join_requests::UNSEEN)
    }

    /// What the actor has reacted to a message with.
    pub(crate) async fn own_reactions(&self, id: MessageId) -> Result<Arc<HashSet<String>>> {
        let own = self.own_reactions.load(&self.cx, id).await?;
        Ok(own.unwrap_or_default())
    }

    pub(crate) async fn reaction_page(
        &self,
        key: ReactionKey,
        request: PageRequest<TallyPosition>,
    ) -> Result<Arc<Page<TallyPosition>>> {
        let page = self.reaction_pages.load(&self.cx, (request, key)).await?;
        Ok(page.unwrap_or_default())
    }

    pub(crate) async fn pin_page(
        &self,
        id: ConversationId,
        request: PageRequest<PinPosition>,
    ) -> Result<Arc<Page<Pin>>> {
        let page = self.pin_pages.load(&self.cx, (request, id)).await?;
        Ok(page.unwrap_or_default())
    }

    /// Whether a message has a star of the actor's.
    pub(crate) async fn is_starred(&self, id: MessageId) -> Result<bool> {
        Ok(self.own_stars.load(&self.cx, id).await?.is_some())
    }

    /// Whether the actor hides a message.
    pub(crate) async fn is_hidden(&self, id: MessageId) -> Result<bool> {
        Ok(self.own_hidden.load(&self.cx, id).await?.is_some())
    }

    /// The poll of a message, if there is one that the actor sees.
    pub(crate) async fn poll(&self, id: MessageId) -> Result<Option<Arc<Poll>>> {
        let found = self.polls.load(&self.cx, id).await?;
        self.note(found.is_none());
        Ok(found)
    }

    /// The numbers of the options that the actor has chosen.
    pub(crate) async fn own_votes(&self, id: MessageId) -> Result<Arc<Vec<i32>>> {
        let own = self.own_votes.load(&self.cx, id).await?;
        Ok(own.unwrap_or_default())
    }

    pub(crate) async fn voter_page(
        &self,
        key: OptionKey,
        request: PageRequest<TallyPosition>,
    ) -> Result<Arc<Page<TallyPosition>>> {
        let page = self.voter_pages.load(&self.cx, (request, key)).await?;
        Ok(page.unwrap_or_default())
    }

    /// A call of a conversation the actor is in.
    pub(crate) async fn call(&self, id: CallId) -> Result<Arc<Call>> {
        self.calls
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("call"))
    }

    /// A chat request that the actor sees.
    pub(crate) async fn chat_request(&self, id: ChatRequestId) -> Result<Arc<ChatRequest>> {
        self.chat_requests
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("chat request"))
    }

    /// A session of the actor's own.
    pub(crate) async fn session(&self, id: SessionId) -> Result<Arc<Session>> {
        self.sessions
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("session"))
    }
}
