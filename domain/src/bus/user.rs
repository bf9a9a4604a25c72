//! Within a node: one [`UserHub`] for each user whom somebody here wants to hear about.

use std::sync::Arc;

use backchannel_entities::UserId;
use tokio::sync::broadcast;

use super::Ends;
use super::topic::{Topic, UserNotice};

/// Notices a listener may be behind before it must look for itself.
const BEHIND: usize = 16;

/// Passes on what is told about a user.
pub(super) struct UserHub {
    notices: broadcast::Sender<UserNotice>,
}

impl UserHub {
    pub(super) fn new() -> Self {
        let (notices, _) = broadcast::channel(BEHIND);
        Self { notices }
    }

    /// Passes a notice on.
    pub(super) fn tell(&self, notice: UserNotice) {
        // An error means that nobody listens just now.
        let _ = self.notices.send(notice);
    }
}

impl Ends {
    /// Listens to what is told about a user on this node; other nodes are still to be asked to
    /// tell.
    pub(super) fn listen(self: &Arc<Self>, id: UserId) -> FollowingUser {
        let hub = self.local.users.get_or_insert_with(id, UserHub::new);
        FollowingUser {
            id,
            notices: hub.notices.subscribe(),
            hub,
            ends: Arc::clone(self),
        }
    }
}

/// A hold on a user's hub.
pub(crate) struct FollowingUser {
    pub(crate) id: UserId,
    hub: Arc<UserHub>,
    ends: Arc<Ends>,
    /// What is told from now on. One that lags has missed something and must look for itself.
    pub(crate) notices: broadcast::Receiver<UserNotice>,
}

impl Drop for FollowingUser {
    fn drop(&mut self) {
        if self.ends.local.users.forget_if_last(&self.id, &self.hub) {
            self.ends.interest_changed(Topic::User(self.id));
        }
    }
}
