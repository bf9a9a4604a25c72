//! What users say about themselves, and what their clients keep for them.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject, Subscription};
use backchannel_domain::preferences;
use backchannel_domain::profiles::{self, ProfileChange, ProfileInput};
use futures_util::{Stream, StreamExt as _};

use crate::error::Result;
use crate::id::parse_all;
use crate::scalars::{Date, Json, change};
use crate::scope::Scope;
use crate::streaming;
use crate::users::User;
use crate::viewer::Viewer;

/// What is to change of the viewer's profile. What is left out stays as it is; null takes it
/// away.
#[derive(InputObject)]
struct UpdateProfileInput {
    /// The name shown to others, 1 to 100 characters. It cannot be taken away.
    display_name: Option<String>,
    /// A name that nobody else has: 3 to 32 letters, digits, underscores and single dots, a
    /// letter first. Kept in lower case. CONFLICT where somebody has it.
    username: MaybeUndefined<String>,
    /// Absolute http or https URL of the picture, at most 2,048 bytes.
    avatar_url: MaybeUndefined<String>,
    /// What the viewer says about themselves, 1 to 500 characters.
    bio: MaybeUndefined<String>,
    /// Language tag (BCP 47) like `de` or `pt-BR`. Only the viewer sees it.
    locale: MaybeUndefined<String>,
    /// Date of birth. Only the viewer sees it.
    date_of_birth: MaybeUndefined<Date>,
    /// Whether a client has led the viewer through its first steps.
    has_completed_onboarding: Option<bool>,
}

/// The answer to `updateProfile`.
#[derive(SimpleObject)]
struct UpdateProfilePayload {
    /// The viewer, with the profile as it is now.
    viewer: Viewer,
}

/// What a client keeps for the viewer.
#[derive(InputObject)]
struct SetPreferencesInput {
    /// The name of the client: 1 to 64 letters, digits, dots, underscores and dashes.
    client: String,
    /// What it keeps, at most 16 KiB, in the place of what it kept; null takes that away.
    value: Option<Json>,
}

/// The answer to `setPreferences`.
#[derive(SimpleObject)]
struct SetPreferencesPayload {
    /// The viewer.
    viewer: Viewer,
}

#[derive(Default)]
pub(crate) struct ProfilesMutation;

#[Object]
impl ProfilesMutation {
    /// Changes the viewer's profile. Those who watch it by `profileChanged` hear of it.
    async fn update_profile(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: UpdateProfileInput,
    ) -> Result<UpdateProfilePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let change = ProfileChange::parse(ProfileInput {
            display_name: input.display_name,
            username: change(input.username),
            avatar_url: change(input.avatar_url),
            bio: change(input.bio),
            locale: change(input.locale),
            date_of_birth: change(input.date_of_birth).map(|new| new.map(|Date(date)| date)),
            is_onboarded: input.has_completed_onboarding,
        })?;
        let scope = Scope::new(profiles::update(scope.cx(), change).await?);
        let viewer = Viewer::load(scope, ctx.look_ahead().field("viewer"));
        Ok(UpdateProfilePayload {
            viewer: viewer.await?,
        })
    }

    /// Keeps something for a client of the viewer's, on all devices; read it by
    /// `Viewer.preferences`. At most 16 clients of a user keep something.
    async fn set_preferences(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to keep.")] input: SetPreferencesInput,
    ) -> Result<SetPreferencesPayload> {
        let scope = Scope::of(ctx);
        let SetPreferencesInput { client, value } = input;
        let value = value.map(|value| value.to_text()).transpose()?;
        preferences::set(scope.cx(), &client, value).await?;
        let viewer = Viewer::load(scope.clone(), ctx.look_ahead().field("viewer"));
        Ok(SetPreferencesPayload {
            viewer: viewer.await?,
        })
    }
}

#[derive(Default)]
pub(crate) struct ProfilesSubscription;

#[Subscription]
impl ProfilesSubscription {
    /// Emits each user as they are first, then again whenever displayName, username, avatarUrl
    /// or bio has changed. Whoever changes often is told about less often. NOT_FOUND if one of
    /// the users does not exist.
    async fn profile_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to watch; at most 200.")] user_ids: Vec<ID>,
    ) -> Result<impl Stream<Item = User> + use<>> {
        let scope = Scope::of(ctx).clone();
        let changes = streaming::each(ctx, async {
            let cx = scope.cx();
            cx.signed_in()?;
            Ok(profiles::watch(cx, parse_all(&user_ids)?).await?)
        });
        Ok(changes.await?.map(move |row| User::new(&scope, row)))
    }
}
