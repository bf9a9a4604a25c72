//! Conversations that users have saved, to make others like them.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, TemplateId, UserId, member, template};
use sea_orm::sea_query::Order;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::clock::new_id;
use crate::conversations::{ConversationKind, tags};
use crate::cx::Tx;
use crate::db::in_list;
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, limits, users};

pub use backchannel_entities::template::{Content, Model as Template};

/// Whether the members of a conversation are saved with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// They are.
    Saved,
    /// They are not.
    LeftOut,
}

/// Saves a conversation as a template of the actor's.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor; [`Error::BadInput`] for a
/// name that is not acceptable, a direct conversation, or more members than one can make a
/// conversation with; [`Error::Conflict`] when the actor has too many templates.
pub async fn save(
    cx: &Cx,
    name: &str,
    id: ConversationId,
    members: Members,
) -> Result<Arc<Template>> {
    let actor = cx.signed_in()?.user.id;
    let name = limits::name("name", name)?;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            users::lock(tx, actor).await?;
            let Membership { conversation, .. } = Membership::lock(tx, actor, id).await?;
            if conversation.kind == ConversationKind::Direct {
                let message = "a direct conversation is no template";
                return Err(Error::bad_input("conversationId", message));
            }
            let content = Content {
                kind: conversation.kind,
                title: conversation.title,
                description: conversation.description,
                avatar_url: conversation.avatar_url,
                settings: conversation.settings,
                tags: tags::of(tx, id).await?.into_iter().collect(),
                members: match members {
                    Members::Saved => others_in(tx, id, actor).await?,
                    Members::LeftOut => Vec::new(),
                },
            };
            let row = template::ActiveModel {
                id: Set(TemplateId(new_id())),
                user_id: Set(actor),
                name: Set(name),
                content: Set(content),
            };
            let saved = row.insert(&tx.db).await?;
            leave_space(tx, actor).await?;
            Ok(Arc::new(saved))
        })
    })
    .await
}

async fn others_in(tx: &Tx, id: ConversationId, actor: UserId) -> Result<Vec<UserId>> {
    let others: Vec<UserId> = member::Entity::find()
        .select_only()
        .column(member::Column::UserId)
        .filter(member::Column::ConversationId.eq(id))
        .filter(member::Column::LeftAt.is_null())
        .filter(member::Column::UserId.ne(actor))
        .limit(limits::IDS_PER_REQUEST as u64 + 1)
        .into_tuple()
        .all(&tx.db)
        .await?;
    if others.len() > limits::IDS_PER_REQUEST {
        let most = limits::IDS_PER_REQUEST;
        let message = format!("more than {most} members cannot be saved");
        return Err(Error::bad_input("withMembers", message));
    }
    Ok(others)
}

/// Fails when the actor, whose row is locked, has too many templates.
async fn leave_space(tx: &Tx, actor: UserId) -> Result<()> {
    let all = template::Entity::find().filter(template::Column::UserId.eq(actor));
    if all.count(&tx.db).await? > limits::TEMPLATES {
        let message = "there is no room for more templates";
        return Err(Error::Conflict {
            field: None,
            message,
        });
    }
    Ok(())
}

/// What a template of the actor's has.
pub(crate) async fn get(tx: &Tx, actor: UserId, id: TemplateId) -> Result<Content> {
    let found = template::Entity::find_by_id(id)
        .filter(template::Column::UserId.eq(actor))
        .one(&tx.db)
        .await?;
    Ok(found.ok_or(Error::NotFound("template"))?.content)
}

/// Deletes a template of the actor's.
///
/// # Errors
/// [`Error::NotFound`] for any other.
pub async fn delete(cx: &Cx, id: TemplateId) -> Result<()> {
    let actor = cx.signed_in()?.user.id;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let deleted = template::Entity::delete_by_id(id)
                .filter(template::Column::UserId.eq(actor))
                .exec(&tx.db)
                .await?;
            if deleted.rows_affected == 0 {
                return Err(Error::NotFound("template"));
            }
            Ok(())
        })
    })
    .await
}

/// The actor's templates, the newest first.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx, request: &PageRequest<TemplateId>) -> Result<Page<Template>> {
    use template::Column::{Id, UserId};
    let mut select = template::Entity::find().filter(UserId.eq(cx.signed_in()?.user.id));
    if let Some(after) = request.after {
        select = select.filter(Id.lt(after));
    }
    if let Some(before) = request.before {
        select = select.filter(Id.gt(before));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let rows = select
        .order_by(Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}

/// Templates of the actor's, by id; others are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[TemplateId]) -> Result<HashMap<TemplateId, Arc<Template>>> {
    let found = template::Entity::find()
        .filter(template::Column::Id.is_in(in_list(ids)))
        .filter(template::Column::UserId.eq(cx.signed_in()?.user.id))
        .all(cx.read())
        .await?;
    Ok(found
        .into_iter()
        .map(|found| (found.id, Arc::new(found)))
        .collect())
}
