//! What users say about themselves, and who hears when that changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{UserId, user};
use chrono::{DateTime, Datelike as _, NaiveDate};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use sea_orm::{ActiveModelTrait, Set};
use tokio::sync::broadcast::error::RecvError;

use crate::bus::{FollowingUser, UserNotice};
use crate::cx::Tx;
use crate::error::is_unique_violation;
use crate::ties::{self, Tie};
use crate::users::{self, User};
use crate::{Cx, Error, Result, directory, limits};

/// A watcher is told at most this often; what changes meanwhile comes as it is then.
const TICK: Duration = Duration::from_millis(100);
/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Usernames that would be taken for something else where they are written.
const RESERVED: [&str; 6] = ["all", "admin", "everyone", "here", "me", "system"];
/// The earliest year of birth.
const BORN_SINCE: i32 = 1900;

/// What is to change, as it was given: none leaves a thing as it is, none within takes it away.
#[derive(Default)]
pub struct ProfileInput {
    /// The name shown to others.
    pub display_name: Option<String>,
    /// The name that nobody else has.
    pub username: Option<Option<String>>,
    /// URL of the picture.
    pub avatar_url: Option<Option<String>>,
    /// What the user says about themselves.
    pub bio: Option<Option<String>>,
    /// Language tag.
    pub locale: Option<Option<String>>,
    /// Date of birth.
    pub date_of_birth: Option<Option<NaiveDate>>,
    /// Whether the first steps are done.
    pub is_onboarded: Option<bool>,
}

/// A change of a profile, checked.
pub struct ProfileChange(ProfileInput);

impl ProfileChange {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(input: ProfileInput) -> Result<Self> {
        let ProfileInput {
            display_name,
            username,
            avatar_url,
            bio,
            locale,
            date_of_birth,
            is_onboarded,
        } = input;
        let display_name = display_name.map(|name| limits::name("displayName", &name));
        Ok(Self(ProfileInput {
            display_name: display_name.transpose()?,
            username: change(username, |name| parse_username(&name))?,
            avatar_url: change(avatar_url, |url| limits::web_url("avatarUrl", &url))?,
            bio: change(bio, |bio| limits::paragraph("bio", &bio))?,
            locale: change(locale, |tag| limits::language_tag("locale", tag))?,
            date_of_birth: change(date_of_birth, parse_date_of_birth)?,
            is_onboarded,
        }))
    }

    fn applied_to(self, user: &mut user::ActiveModel) {
        fn set<T: Into<sea_orm::Value>>(column: &mut sea_orm::ActiveValue<T>, to: Option<T>) {
            if let Some(to) = to {
                *column = Set(to);
            }
        }
        let Self(input) = self;
        let date_of_birth = input.date_of_birth;
        set(&mut user.display_name, input.display_name);
        set(&mut user.username, input.username);
        set(&mut user.avatar_url, input.avatar_url);
        set(&mut user.bio, input.bio);
        set(&mut user.locale, input.locale);
        set(
            &mut user.date_of_birth,
            date_of_birth.map(|date| date.map(|date| date.to_string())),
        );
        set(&mut user.is_onboarded, input.is_onboarded);
    }
}

fn change<T, U>(
    input: Option<Option<T>>,
    check: impl Fn(T) -> Result<U>,
) -> Result<Option<Option<U>>> {
    input.map(|new| new.map(check).transpose()).transpose()
}

/// Compared without regard to case: it is kept in lower case.
fn parse_username(name: &str) -> Result<String> {
    let name = limits::username("username", name)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::bad_input("username", "is kept for other uses"));
    }
    Ok(name)
}

fn parse_date_of_birth(date: NaiveDate) -> Result<NaiveDate> {
    if date.year() < BORN_SINCE {
        let message = format!("must not be before the year {BORN_SINCE}");
        return Err(Error::bad_input("dateOfBirth", message));
    }
    Ok(date)
}

/// Changes the actor's profile. Those who watch it hear of it. Answers with a context to go on in.
///
/// # Errors
/// [`Error::Conflict`] for a username that somebody has; [`Error::BadInput`] for a date of birth
/// that is still to come.
pub async fn update(cx: &Cx, change: ProfileChange) -> Result<Cx> {
    let signed_in = cx.signed_in()?;
    let id = signed_in.user.id;
    let now = cx.handles().clock.now();
    // Wherever it is tomorrow already.
    let tomorrow = DateTime::from_timestamp_millis(now.plus(DAY).0).map(|now| now.date_naive());
    if change.0.date_of_birth.flatten() > tomorrow {
        return Err(Error::bad_input("dateOfBirth", "must not be in the future"));
    }
    let user = cx.write(move |tx| {
        Box::pin(async move {
            let user = users::lock(tx, id).await?;
            apply(tx, user, change).await
        })
    });
    cx.acting_now_as(user.await?)
}

/// Changes a user who is locked.
pub(crate) async fn apply(tx: &mut Tx, user: User, change: ProfileChange) -> Result<Arc<User>> {
    let id = user.id;
    let names = (user.display_name.clone(), user.username.clone());
    let mut row = user::ActiveModel::from(user);
    change.applied_to(&mut row);
    row.stamp = Set(tx.stamp().await?);
    let row = row.update(&tx.db).await.map_err(|error| {
        if is_unique_violation(&error) {
            Error::Conflict {
                field: Some("username"),
                message: "somebody else has this username",
            }
        } else {
            error.into()
        }
    })?;
    if names != (row.display_name.clone(), row.username.clone()) {
        directory::list_anew(tx, &row).await?;
    }
    tx.tell(id, UserNotice::Settings);
    Ok(Arc::new(row))
}

/// The profile of each user as it is, then again whenever what the actor sees of it has changed.
///
/// # Errors
/// [`Error::BadInput`] for too many ids; [`Error::NotFound`] when one of them is nobody's.
pub async fn watch(
    cx: &Cx,
    ids: Vec<UserId>,
) -> Result<impl Stream<Item = Arc<User>> + Send + use<>> {
    cx.signed_in()?;
    let ids = limits::ids("userIds", ids)?;
    // Before anything is read, so that no change falls between the two.
    let following = cx.handles().bus.follow_users(&ids).await;
    let mut told = read(cx, ids.clone()).await?;
    if told.len() < ids.len() {
        return Err(Error::NotFound("user"));
    }
    let cx = cx.clone();
    Ok(stream! {
        for id in ids {
            yield Arc::clone(&told[&id].user);
        }
        let mut notices: FuturesUnordered<_> = following.into_iter().map(next_change).collect();
        while let Some((id, following)) = notices.next().await {
            let mut changed = HashSet::from([id]);
            notices.push(next_change(following));
            tokio::time::sleep(TICK).await;
            while let Some(Some((id, following))) = notices.next().now_or_never() {
                changed.insert(id);
                notices.push(next_change(following));
            }
            for (id, seen) in read_again(&cx, changed.into_iter().collect()).await {
                let user = Arc::clone(&seen.user);
                let now = seen.shown();
                let is_news = told.get(&id).is_none_or(|before| before.shown() != now);
                told.insert(id, seen);
                if is_news {
                    yield user;
                }
            }
        }
    })
}

/// Completes when the user may have changed.
async fn next_change(mut following: FollowingUser) -> (UserId, FollowingUser) {
    loop {
        match following.notices.recv().await {
            Ok(UserNotice::Settings) | Err(RecvError::Lagged(_)) => {
                return (following.id, following);
            }
            Ok(
                UserNotice::Memberships
                | UserNotice::Presence(_)
                | UserNotice::Calls
                | UserNotice::Requests
                | UserNotice::States
                | UserNotice::Message(_),
            ) => {}
            // The node stops.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// A user, and what they are to the one who looks.
struct Seen {
    user: Arc<User>,
    tie: Tie,
}

impl Seen {
    /// All that others see.
    fn shown(&self) -> (&str, Option<&str>, Option<&str>, Option<&str>) {
        let User {
            display_name,
            username,
            bio,
            ..
        } = &*self.user;
        let avatar = self.tie.avatar_of(&self.user);
        (display_name, username.as_deref(), avatar, bio.as_deref())
    }
}

async fn read(cx: &Cx, ids: Vec<UserId>) -> Result<HashMap<UserId, Seen>> {
    let users = users::read_many(cx.read(), ids).await?;
    let selective = users.values().filter(|user| user.is_selective);
    let selective: Vec<UserId> = selective.map(|user| user.id).collect();
    let mut ties = ties::of_actor(cx, &selective).await?;
    let with_tie = |(id, user)| {
        let tie = ties.remove(&id).unwrap_or_default();
        (id, Seen { user, tie })
    };
    Ok(users.into_iter().map(with_tie).collect())
}

/// Waits for the database while it fails.
async fn read_again(cx: &Cx, ids: Vec<UserId>) -> HashMap<UserId, Seen> {
    loop {
        match read(cx, ids.clone()).await {
            Ok(found) => return found,
            Err(error) => tracing::warn!(%error, "reading profiles failed; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
