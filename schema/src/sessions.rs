//! Registering, signing in, staying in, signing out.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use backchannel_domain::sessions::{self, Credentials, NewSession};
use backchannel_domain::users::{self, NewUser};

use crate::error::Result;
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
}

/// A session to renew.
#[derive(InputObject)]
struct RefreshSessionInput {
    /// The refresh token of the last answer.
    refresh_token: String,
}

/// A session: the secrets to go on with, and the view of whoever signed in.
#[derive(SimpleObject)]
struct AuthPayload {
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
    async fn new(ctx: &Context<'_>, session: NewSession) -> Result<Self> {
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
        } = input;
        let cx = Scope::of(ctx).cx();
        let (email, phone) = (email.as_deref(), phone.as_deref());
        let new = NewUser::parse(cx.domain(), email, phone, password, &display_name)?;
        AuthPayload::new(ctx, users::register(cx, new).await?).await
    }

    /// Opens a session. UNAUTHENTICATED alike for an unknown account and a wrong password.
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: SignInInput,
    ) -> Result<AuthPayload> {
        let SignInInput {
            email,
            phone,
            password,
        } = input;
        let cx = Scope::of(ctx).cx();
        let (email, phone) = (email.as_deref(), phone.as_deref());
        let credentials = Credentials::parse(cx.domain(), email, phone, password)?;
        let session = sessions::sign_in(cx, credentials).await?;
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
}
