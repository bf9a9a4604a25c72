//! Which of the viewer's conversations a list has.

use async_graphql::InputObject;
use backchannel_domain::conversations::{ConversationFilter as Filter, Which};

use crate::conversations::ConversationKind;
use crate::error::Result;

/// Which of the viewer's conversations. What is left out is no condition; all that is given must
/// hold.
#[derive(InputObject)]
pub(crate) struct ConversationFilter {
    /// Of these kinds.
    kinds: Option<Vec<ConversationKind>>,
    /// True: those that are archived; else those that are not.
    #[graphql(default)]
    archived: bool,
    /// True: those that the viewer has hidden; else those that are not.
    #[graphql(default)]
    hidden: bool,
    /// True: only those with messages of others that the viewer has not read, or marked unread; false:
    /// only others.
    unread: Option<bool>,
    /// True: only those that the viewer has muted; false: only others.
    muted: Option<bool>,
    /// True: only those that the viewer has pinned; false: only others.
    pinned: Option<bool>,
    /// Only those with this tag.
    tag: Option<String>,
    /// Only those that it finds: each of its words begins a word of the title or slug, or of the other's
    /// name in a DIRECT conversation. 2 to 100 characters, at most 8 words.
    query: Option<String>,
}

/// What the domain is asked for.
pub(crate) fn checked(filter: Option<ConversationFilter>) -> Result<Filter> {
    let Some(filter) = filter else {
        return Ok(Filter::default());
    };
    let mut kinds = Vec::new();
    for kind in filter.kinds.into_iter().flatten().map(Into::into) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut checked = Filter::from(Which {
        kinds,
        archived: filter.archived,
        hidden: filter.hidden,
        unread: filter.unread,
        muted: filter.muted,
        pinned: filter.pinned,
    });
    if let Some(tag) = filter.tag {
        checked = checked.tagged(&tag)?;
    }
    if let Some(query) = filter.query {
        checked = checked.named(&query)?;
    }
    Ok(checked)
}
