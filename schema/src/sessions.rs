//! Registering, signing in, staying in, signing out; and the list of who is signed in where.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::SessionId;
use backchannel_domain::sessions::{self, Credentials, NewSession, Session as Row};
use backchannel_domain::users::{self, NewUser, PasswordChange};

use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::viewer::Viewer;

/// A new account. Give an e-mail address, a phone number or both.
#[derive(InputObject)]
struct RegisterInput {
    /// E-mail address, at most 254 bytes; compared without regard to case.
    email: Option<String>,
    /// Phone number as people write it, like +49 30 12345678. The country code can be left out
    /// for numbers of the country that the server is set up for, if it is.
    phone: Option<String>,
    /// Password, 8 to 1,024 bytes; a few well-known ones are refused.
    password: String,
    /// The name shown to others, 1 to 100 characters.
    display_name: String,
    /// What the device is called that signs in, 1 to 100 characters. Without it, what the header
    /// `X-Device-Name` says.
    device_name: Option<String>,
}

/// Who signs in: an e-mail address or a phone number, and the password.
#[derive(InputObject)]
struct SignInInput {
    /// E-mail address of the account.
    email: Option<String>,
    /// Phone number of the account.
    phone: Option<String>,
    /// Password of the account.
    password: String,
    /// What the device is called that signs in, 1 to 100 characters. Without it, what the header
    /// `X-Device-Name` says.
    device_name: Option<String>,
}

/// A session to renew.
#[derive(InputObject)]
struct RefreshSessionInput {
    /// The refresh token of the last answer.
    refresh_token: String,
}

#[derive(Clone)]
pub(crate) struct Session {
    scope: Scope,
    row: Arc<Row>,
}

impl Session {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// A login of the viewer, on one device. Nobody else sees it.
#[Object]
impl Session {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// What the device is called, if anybody said so.
    async fn device_name(&self) -> Option<&str> {
        self.row.device_name.as_deref()
    }

    /// What the program calls itself that last used the session: the `User-Agent`, at most 256
    /// characters of it.
    async fn client(&self) -> Option<&str> {
        self.row.user_agent.as_deref()
    }

    /// The IP address from which the session was last used.
    async fn address(&self) -> Option<&str> {
        self.row.address.as_deref()
    }

    /// When it began.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// When it was last used: to a minute or so, and to five where a socket or stream is open.
    async fn last_used_at(&self) -> DateTime {
        self.row.last_used_at.into()
    }

    /// When it ends, unless it is renewed before.
    async fn expires_at(&self) -> DateTime {
        self.row.expires_at.into()
    }

    /// Whether this request is made by it.
    async fn is_current(&self) -> Result<bool> {
        Ok(self.scope.cx().signed_in()?.session_id == self.row.id)
    }
}

/// Which session, and what its device is called from now on.
#[derive(InputObject)]
struct RenameSessionInput {
    /// A session of the viewer.
    session_id: ID,
    /// The name, 1 to 100 characters.
    device_name: String,
}

/// The answer to `renameSession`.
#[derive(SimpleObject)]
struct RenameSessionPayload {
    /// The session under its new name.
    session: Session,
}

/// Which session to end.
#[derive(InputObject)]
struct RevokeSessionInput {
    /// A session of the viewer.
    session_id: ID,
}

/// The answer to `revokeSession`.
#[derive(SimpleObject)]
struct RevokeSessionPayload {
    /// True.
    ok: bool,
}

/// The answer to `revokeOtherSessions`.
#[derive(SimpleObject)]
struct RevokeOtherSessionsPayload {
    /// How many were ended.
    session_count: i32,
}

/// The password of the viewer's account, and the one to be.
#[derive(InputObject)]
struct ChangePasswordInput {
    /// The password until now; nothing where the account has none.
    current_password: Option<String>,
    /// The password from now on, 8 to 1,024 bytes; a few well-known ones are refused.
    new_password: String,
}

/// The answer to `changePassword`.
#[derive(SimpleObject)]
struct ChangePasswordPayload {
    /// How many other sessions were ended.
    ended_session_count: i32,
}

/// A session: the secrets to go on with, and the view of whoever signed in.
#[derive(SimpleObject)]
pub(crate) struct AuthPayload {
    /// Send it as `Authorization: Bearer …`, or in the payload of `connection_init`.
    access_token: String,
    /// Renews the session, once; keep it secret.
    refresh_token: String,
    /// When the access token expires.
    expires_at: DateTime,
    /// The user who signed in.
    viewer: Viewer,
}

impl AuthPayload {
    pub(crate) async fn new(ctx: &Context<'_>, session: NewSession) -> Result<Self> {
        let selected = ctx.look_ahead().field("viewer");
        Ok(Self {
            access_token: session.access_token,
            refresh_token: session.refresh_token,
            expires_at: session.expires_at.into(),
            viewer: Viewer::load(Scope::new(session.cx), selected).await?,
        })
    }
}

/// The answer to `signOut`.
#[derive(SimpleObject)]
struct SignOutPayload {
    /// True.
    ok: bool,
}

#[derive(Default)]
pub(crate) struct SessionsMutation;

#[Object]
impl SessionsMutation {
    /// Makes an account and signs it in. CONFLICT where the e-mail address or phone number
    /// has one.
    async fn register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account to make.")] input: RegisterInput,
    ) -> Result<AuthPayload> {
        let RegisterInput {
            email,
            phone,
            password,
            display_name,
            device_name,
        } = input;
        let cx = Scope::of(ctx).cx().on_device(device_name.as_deref())?;
        let (email, phone) = (email.as_deref(), phone.as_deref());
        let new = NewUser::parse(cx.domain(), email, phone, password, &display_name)?;
        AuthPayload::new(ctx, users::register(&cx, new).await?).await
    }

    /// Opens a session. UNAUTHENTICATED alike for an unknown account and a wrong password. A user
    /// has so many sessions at once (MAX_SESSIONS_PER_USER, 50); one more ends the one that was
    /// used longest ago.
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: SignInInput,
    ) -> Result<AuthPayload> {
        let SignInInput {
            email,
            phone,
            password,
            device_name,
        } = input;
        let cx = Scope::of(ctx).cx().on_device(device_name.as_deref())?;
        let (email, phone) = (email.as_deref(), phone.as_deref());
        let credentials = Credentials::parse(cx.domain(), email, phone, password)?;
        let session = sessions::sign_in(&cx, credentials).await?;
        AuthPayload::new(ctx, session).await
    }

    /// Rotates: the token given in is spent. For REFRESH_GRACE (30 s) after that it is
    /// honoured again, so that a lost answer can be retried; later its use revokes the whole
    /// family, access tokens and open sockets included.
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session to renew.")] input: RefreshSessionInput,
    ) -> Result<AuthPayload> {
        let session = sessions::refresh(Scope::of(ctx).cx(), &input.refresh_token).await?;
        AuthPayload::new(ctx, session).await
    }

    /// Ends this session; its open subscriptions are closed at once.
    async fn sign_out(&self, ctx: &Context<'_>) -> Result<SignOutPayload> {
        sessions::sign_out(Scope::of(ctx).cx()).await?;
        Ok(SignOutPayload { ok: true })
    }

    /// Gives the device of one of the viewer's sessions another name.
    async fn rename_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session, and the name.")] input: RenameSessionInput,
    ) -> Result<RenameSessionPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = SessionId::parse(&input.session_id)?;
        let row = sessions::rename(scope.cx(), id, &input.device_name).await?;
        Ok(RenameSessionPayload {
            session: Session::new(scope, row),
        })
    }

    /// Ends one of the viewer's sessions, this one too: its tokens are refused and its open
    /// subscriptions closed, within a second.
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session.")] input: RevokeSessionInput,
    ) -> Result<RevokeSessionPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = SessionId::parse(&input.session_id)?;
        sessions::revoke(scope.cx(), id).await?;
        Ok(RevokeSessionPayload { ok: true })
    }

    /// Ends all of the viewer's sessions but this one.
    async fn revoke_other_sessions(&self, ctx: &Context<'_>) -> Result<RevokeOtherSessionsPayload> {
        let count = sessions::revoke_others(Scope::of(ctx).cx()).await?;
        Ok(RevokeOtherSessionsPayload {
            session_count: i32::try_from(count).unwrap_or(i32::MAX),
        })
    }

    /// Sets another password and ends all of the viewer's sessions but this one. BAD_USER_INPUT
    /// with the field `currentPassword` when that is not the password.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The passwords.")] input: ChangePasswordInput,
    ) -> Result<ChangePasswordPayload> {
        let change = PasswordChange::parse(input.current_password, input.new_password)?;
        let count = users::change_password(Scope::of(ctx).cx(), change).await?;
        Ok(ChangePasswordPayload {
            ended_session_count: i32::try_from(count).unwrap_or(i32::MAX),
        })
    }
}
