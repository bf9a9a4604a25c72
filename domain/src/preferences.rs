//! What clients keep for their users, as JSON of their own.

use backchannel_entities::{UserId, preference};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait as _, QueryFilter, Set};

use crate::cx::Tx;
use crate::{Cx, Error, Result, limits, users};

/// Most clients of a user that keep something.
const CLIENTS: u64 = 16;

/// What a client keeps for the actor, as JSON, if anything.
///
/// # Errors
/// [`Error::BadInput`] for what is no client's name.
pub async fn get(cx: &Cx, client: &str) -> Result<Option<String>> {
    let id = cx.signed_in()?.user.id;
    let client = limits::client_name("client", client)?;
    let found = preference::Entity::find_by_id((id, client.to_owned()));
    Ok(found.one(cx.read()).await?.map(|found| found.value))
}

/// Keeps `value`, which is JSON, in the place of what a client kept for the actor; none takes it
/// away.
///
/// # Errors
/// [`Error::BadInput`] for what is no client's name, and for a value that is too long;
/// [`Error::Conflict`] when too many clients keep something.
pub async fn set(cx: &Cx, client: &str, value: Option<String>) -> Result<()> {
    let user_id = cx.signed_in()?.user.id;
    let client = limits::client_name("client", client)?.to_owned();
    if value
        .as_ref()
        .is_some_and(|value| value.len() > limits::PREFERENCES_BYTES)
    {
        let message = format!("must have at most {} bytes", limits::PREFERENCES_BYTES);
        return Err(Error::bad_input("value", message));
    }
    cx.write(move |tx| {
        Box::pin(async move {
            match value {
                Some(value) => keep(tx, user_id, client, value).await,
                None => {
                    let kept = preference::Entity::delete_by_id((user_id, client));
                    kept.exec(&tx.db).await?;
                    Ok(())
                }
            }
        })
    })
    .await
}

async fn keep(tx: &Tx, user_id: UserId, client: String, value: String) -> Result<()> {
    // The lock, so that two cannot both be the last for whom there is room.
    users::lock(tx, user_id).await?;
    let others = preference::Entity::find()
        .filter(preference::Column::UserId.eq(user_id))
        .filter(preference::Column::Client.ne(&client));
    if others.count(&tx.db).await? >= CLIENTS {
        return Err(Error::Conflict {
            field: Some("client"),
            message: "too many clients keep preferences for this user",
        });
    }
    let row = preference::ActiveModel {
        user_id: Set(user_id),
        client: Set(client),
        value: Set(value),
    };
    let key = [preference::Column::UserId, preference::Column::Client];
    preference::Entity::insert(row)
        .on_conflict(
            OnConflict::columns(key)
                .update_column(preference::Column::Value)
                .to_owned(),
        )
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}
