//! Conversations that the viewer has saved, to make others like them.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::templates::{self, Members, Template as Row};
use backchannel_domain::{ConversationId, TemplateId};

use crate::conversations::ConversationKind;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::int;
use crate::scope::Scope;
use crate::settings::ConversationSettings;

#[derive(Clone)]
pub(crate) struct Template {
    row: Arc<Row>,
}

impl Template {
    pub(crate) fn new(row: Arc<Row>) -> Self {
        Self { row }
    }
}

/// A conversation that the viewer has saved: its kind, title, description, picture, settings and tags.
#[Object]
impl Template {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// What the viewer calls it.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// What it makes.
    async fn kind(&self) -> ConversationKind {
        self.row.content.kind.into()
    }

    /// Title, if there is one.
    async fn title(&self) -> Option<&str> {
        self.row.content.title.as_deref()
    }

    /// What it is about, if anything is said.
    async fn description(&self) -> Option<&str> {
        self.row.content.description.as_deref()
    }

    /// Absolute URL of its picture, if it has one.
    async fn avatar_url(&self) -> Option<&str> {
        self.row.content.avatar_url.as_deref()
    }

    /// How it is set.
    async fn settings(&self) -> ConversationSettings {
        ConversationSettings::of(&self.row.content.settings)
    }

    /// Its tags.
    async fn tags(&self) -> &[String] {
        &self.row.content.tags
    }

    /// How many members besides the viewer were saved with it.
    async fn member_count(&self) -> i32 {
        int(i64::try_from(self.row.content.members.len()).unwrap_or(i64::MAX))
    }
}

/// What to save.
#[derive(InputObject)]
struct SaveTemplateInput {
    /// What to call it, 1 to 100 characters.
    name: String,
    /// The conversation to save; no DIRECT one.
    conversation_id: ID,
    /// Whether its members are saved too: at most 200 besides the viewer, else it is BAD_USER_INPUT.
    #[graphql(default)]
    with_members: bool,
}

/// The answer to `saveTemplate`.
#[derive(SimpleObject)]
struct SaveTemplatePayload {
    /// The template.
    template: Template,
}

/// What to delete.
#[derive(InputObject)]
struct DeleteTemplateInput {
    /// Which.
    template_id: ID,
}

/// The answer to `deleteTemplate`.
#[derive(SimpleObject)]
struct DeleteTemplatePayload {
    /// Always true.
    ok: bool,
}

#[derive(Default)]
pub(crate) struct TemplatesMutation;

#[Object]
impl TemplatesMutation {
    /// Saves a conversation of the viewer's as a template, for `createConversation`; once more, as
    /// another one. CONFLICT for the 51st.
    async fn save_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, and under which name.")] input: SaveTemplateInput,
    ) -> Result<SaveTemplatePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let members = if input.with_members {
            Members::Saved
        } else {
            Members::LeftOut
        };
        let row = templates::save(scope.cx(), &input.name, id, members).await?;
        Ok(SaveTemplatePayload {
            template: Template::new(row),
        })
    }

    /// Deletes a template. What was made from it stays as it is.
    async fn delete_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: DeleteTemplateInput,
    ) -> Result<DeleteTemplatePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        templates::delete(scope.cx(), TemplateId::parse(&input.template_id)?).await?;
        Ok(DeleteTemplatePayload { ok: true })
    }
}
