//! What objects need to find their relations: who reads, and the loaders of the moment.

use std::sync::Arc;

use async_graphql::Context;
use backchannel_domain::Cx;

use crate::loaders::Loaders;

/// The actor and the loaders of one request, or of one event of a stream. Objects carry it,
/// rather than asking the request for it: the viewer in the answer to a sign-in is not the
/// stranger who sent it, and what a stream loads for one event is old for the next.
#[derive(Clone)]
pub(crate) struct Scope(Arc<Contents>);

struct Contents {
    cx: Cx,
    loaders: Loaders,
}

impl Scope {
    pub(crate) fn new(cx: Cx) -> Self {
        Self(Arc::new(Contents {
            loaders: Loaders::new(cx.clone()),
            cx,
        }))
    }

    /// The scope of the request.
    ///
    /// # Panics
    /// When the request was not made by [`crate::Api`].
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Self {
        ctx.data_unchecked()
    }

    pub(crate) fn cx(&self) -> &Cx {
        &self.0.cx
    }

    pub(crate) fn loaders(&self) -> &Loaders {
        &self.0.loaders
    }
}
