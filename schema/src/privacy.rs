//! To whom the viewer is open.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use backchannel_domain::privacy::{self, PrivacyChange};
use backchannel_domain::users::{Audience, User};

use crate::error::Result;
use crate::scope::Scope;
use crate::viewer::Viewer;

/// To whom something is open. To whom a block stands between, nothing is.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Audience")]
pub(crate) enum PrivacyAudience {
    /// To everyone.
    Everyone,
    /// To those whom the viewer has among their contacts.
    Contacts,
    /// To nobody else.
    Nobody,
}

/// To whom the viewer is open. At first everything is EVERYONE.
#[derive(SimpleObject)]
pub(crate) struct PrivacySettings {
    /// Who finds the viewer by the whole e-mail address.
    found_by_email: PrivacyAudience,
    /// Who finds the viewer by the whole phone number, also in an address book.
    found_by_phone: PrivacyAudience,
    /// Who sees when the viewer was last there.
    last_seen: PrivacyAudience,
    /// Who sees the viewer's picture.
    avatar: PrivacyAudience,
    /// Who may start a direct conversation with the viewer without asking.
    chats_from: PrivacyAudience,
}

impl PrivacySettings {
    pub(crate) fn of(user: &User) -> Self {
        Self {
            found_by_email: user.found_by_email.into(),
            found_by_phone: user.found_by_phone.into(),
            last_seen: user.shows_last_seen.into(),
            avatar: user.shows_avatar.into(),
            chats_from: user.chats_from.into(),
        }
    }
}

/// What is to change of the viewer's settings. What is left out, or null, stays as it is.
#[derive(InputObject)]
struct UpdatePrivacyInput {
    /// Who finds the viewer by the whole e-mail address.
    found_by_email: Option<PrivacyAudience>,
    /// Who finds the viewer by the whole phone number, also in an address book.
    found_by_phone: Option<PrivacyAudience>,
    /// Who sees when the viewer was last there.
    last_seen: Option<PrivacyAudience>,
    /// Who sees the viewer's picture.
    avatar: Option<PrivacyAudience>,
    /// Who may start a direct conversation with the viewer without asking.
    chats_from: Option<PrivacyAudience>,
}

/// The answer to `updatePrivacy`.
#[derive(SimpleObject)]
struct UpdatePrivacyPayload {
    /// The viewer, with the settings as they are now.
    viewer: Viewer,
}

#[derive(Default)]
pub(crate) struct PrivacyMutation;

#[Object]
impl PrivacyMutation {
    /// Changes to whom the viewer is open. What is hidden by it disappears within a second, from
    /// open streams too.
    async fn update_privacy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdatePrivacyInput,
    ) -> Result<UpdatePrivacyPayload> {
        let change = PrivacyChange {
            found_by_email: input.found_by_email.map(Into::into),
            found_by_phone: input.found_by_phone.map(Into::into),
            last_seen: input.last_seen.map(Into::into),
            avatar: input.avatar.map(Into::into),
            chats_from: input.chats_from.map(Into::into),
        };
        let scope = Scope::new(privacy::update(Scope::of(ctx).cx(), change).await?);
        let viewer = Viewer::load(scope, ctx.look_ahead().field("viewer"));
        Ok(UpdatePrivacyPayload {
            viewer: viewer.await?,
        })
    }
}
