//! One-time codes, and what one may do with them.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use backchannel_domain::codes::{self, CodeRequest, NewAccount, Proof, Purpose};
use backchannel_domain::{CodeId, Error};

use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::sessions::AuthPayload;
use crate::viewer::Viewer;

/// What a code is for. A code for one purpose is none for another.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Purpose")]
enum CodePurpose {
    /// `registerWithCode`.
    Register,
    /// `signInWithCode`.
    SignIn,
    /// `attachIdentifier`, for the viewer who asks.
    Attach,
    /// `resetPassword`.
    ResetPassword,
}

/// Where a code is to be sent, and what for. Give an e-mail address or a phone number.
#[derive(InputObject)]
struct RequestCodeInput {
    /// E-mail address.
    email: Option<String>,
    /// Phone number as people write it.
    phone: Option<String>,
    /// What the code is for.
    purpose: CodePurpose,
}

/// The answer to `requestCode`, the same whether or not anybody has an account there.
#[derive(SimpleObject)]
struct RequestCodePayload {
    /// To be given with the code. Keep it: after another `requestCode` for the same, earlier
    /// tokens and codes go on being good, in any combination.
    token: String,
    /// Until when the code is good.
    expires_at: DateTime,
}

/// A new account, whose e-mail address or phone number is the one the code was sent to.
#[derive(InputObject)]
struct RegisterWithCodeInput {
    /// What `requestCode` has answered.
    token: String,
    /// The six digits.
    code: String,
    /// The name shown to others, 1 to 100 characters.
    display_name: String,
    /// Password, 8 to 1,024 bytes. Without one, one signs in by codes.
    password: Option<String>,
    /// What the device is called that signs in, 1 to 100 characters. Without it, what the header
    /// `X-Device-Name` says.
    device_name: Option<String>,
}

/// Who signs in by a code.
#[derive(InputObject)]
struct SignInWithCodeInput {
    /// What `requestCode` has answered.
    token: String,
    /// The six digits.
    code: String,
    /// The name for an account to be made where there is none; without it that is
    /// UNAUTHENTICATED.
    display_name: Option<String>,
    /// What the device is called that signs in, 1 to 100 characters. Without it, what the header
    /// `X-Device-Name` says.
    device_name: Option<String>,
}

/// The proof that an e-mail address or phone number is the viewer's.
#[derive(InputObject)]
struct AttachIdentifierInput {
    /// What `requestCode` has answered.
    token: String,
    /// The six digits.
    code: String,
}

/// The answer to `attachIdentifier`.
#[derive(SimpleObject)]
struct AttachIdentifierPayload {
    /// The viewer, with it.
    viewer: Viewer,
}

/// A new password, and the code or the link that was sent.
#[derive(InputObject)]
struct ResetPasswordInput {
    /// What `requestCode` has answered; with `code`.
    token: Option<String>,
    /// The six digits; with `token`.
    code: Option<String>,
    /// The value of `link` in the address of the page that the mail leads to, in place of token and
    /// code.
    link: Option<String>,
    /// The password, 8 to 1,024 bytes; a few well-known ones are refused.
    new_password: String,
}

/// The answer to `resetPassword`.
#[derive(SimpleObject)]
struct ResetPasswordPayload {
    /// True.
    ok: bool,
}

fn proof(token: &str, code: &str) -> Result<Proof> {
    Ok(Proof::code(CodeId::parse(&token.into()).ok(), code)?)
}

#[derive(Default)]
pub(crate) struct CodesMutation;

#[Object]
impl CodesMutation {
    /// Sends a code of six digits, good for ten minutes and five tries. Answers alike whether or not
    /// anybody has an account there. FORBIDDEN where this server sends none by that way.
    async fn request_code(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and what for.")] input: RequestCodeInput,
    ) -> Result<RequestCodePayload> {
        let cx = Scope::of(ctx).cx();
        let (email, phone) = (input.email.as_deref(), input.phone.as_deref());
        let request = CodeRequest::parse(cx.domain(), email, phone, input.purpose.into())?;
        let requested = codes::request(cx, request).await?;
        Ok(RequestCodePayload {
            token: requested.id.global().0,
            expires_at: requested.expires_at.into(),
        })
    }

    /// Makes an account and signs it in. BAD_USER_INPUT with the field `code` for a wrong code,
    /// CONFLICT with that field for one that is over, CONFLICT without for an address or number
    /// that has an account, NOT_FOUND for an unknown token.
    async fn register_with_code(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account to make.")] input: RegisterWithCodeInput,
    ) -> Result<AuthPayload> {
        let cx = Scope::of(ctx)
            .cx()
            .on_device(input.device_name.as_deref())?;
        let proof = proof(&input.token, &input.code)?;
        let new = NewAccount::parse(&input.display_name, input.password)?;
        AuthPayload::new(ctx, codes::register(&cx, proof, new).await?).await
    }

    /// Opens a session. BAD_USER_INPUT with the field `code` for a wrong code, CONFLICT for
    /// one that is over, NOT_FOUND for an unknown token. Whoever is the first to verify the address or
    /// number of an account ends all sessions of it and takes its password away: it may have been
    /// made by somebody else.
    async fn sign_in_with_code(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: SignInWithCodeInput,
    ) -> Result<AuthPayload> {
        let cx = Scope::of(ctx)
            .cx()
            .on_device(input.device_name.as_deref())?;
        let proof = proof(&input.token, &input.code)?;
        let session = codes::sign_in(&cx, proof, input.display_name.as_deref()).await?;
        AuthPayload::new(ctx, session).await
    }

    /// Gives the viewer the e-mail address or phone number that the code was sent to, in the place of
    /// the one that is there, or verifies that one. Errors as of `registerWithCode`.
    async fn attach_identifier(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof.")] input: AttachIdentifierInput,
    ) -> Result<AttachIdentifierPayload> {
        let cx = Scope::of(ctx).cx();
        cx.signed_in()?;
        let user = codes::attach(cx, proof(&input.token, &input.code)?).await?;
        let viewer = Viewer::load(
            Scope::new(cx.acting_now_as(user)?),
            ctx.look_ahead().field("viewer"),
        );
        Ok(AttachIdentifierPayload {
            viewer: viewer.await?,
        })
    }

    /// Sets a new password and ends all sessions of the account. Errors as of
    /// `registerWithCode`.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password and the proof.")] input: ResetPasswordInput,
    ) -> Result<ResetPasswordPayload> {
        let proof = match (input.token, input.code, input.link) {
            (Some(token), Some(code), None) => proof(&token, &code)?,
            (None, None, Some(link)) => Proof::link(link)?,
            _ => {
                let message = "give `token` and `code`, or `link`";
                return Err(Error::bad_input("token", message).into());
            }
        };
        codes::reset_password(Scope::of(ctx).cx(), proof, input.new_password).await?;
        Ok(ResetPasswordPayload { ok: true })
    }
}
