//! To whom users are open: who finds them, and what others see of them.

use std::sync::Arc;

use backchannel_entities::user;
use sea_orm::{ActiveModelTrait as _, Set};

use crate::users::{self, Audience};
use crate::{Cx, Result};

/// What is to change of the actor's settings; none leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrivacyChange {
    /// Who finds the user by the e-mail address.
    pub found_by_email: Option<Audience>,
    /// Who finds the user by the phone number.
    pub found_by_phone: Option<Audience>,
    /// Who sees when the user was last there.
    pub last_seen: Option<Audience>,
    /// Who sees the picture.
    pub avatar: Option<Audience>,
    /// Who may start a direct conversation without asking.
    pub chats_from: Option<Audience>,
}

impl PrivacyChange {
    fn applied_to(self, user: &mut user::ActiveModel) {
        let columns = [
            (self.found_by_email, &mut user.found_by_email),
            (self.found_by_phone, &mut user.found_by_phone),
            (self.last_seen, &mut user.shows_last_seen),
            (self.avatar, &mut user.shows_avatar),
            (self.chats_from, &mut user.chats_from),
        ];
        for (new, column) in columns {
            if let Some(new) = new {
                *column = Set(new);
            }
        }
    }
}

/// Changes the actor's settings. Whoever watches what they hide or show hears of it. Answers with a
/// context to go on in.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn update(cx: &Cx, change: PrivacyChange) -> Result<Cx> {
    let id = cx.signed_in()?.user.id;
    let user = cx.write(move |tx| {
        Box::pin(async move {
            let before = users::lock(tx, id).await?;
            let mut row = user::ActiveModel::from(before.clone());
            change.applied_to(&mut row);
            let after = if row.is_changed() {
                row.update(&tx.db).await?
            } else {
                before
            };
            users::touch(tx, vec![id]).await?;
            Ok(Arc::new(after))
        })
    });
    cx.acting_now_as(user.await?)
}
