//! How much more a caller may ask, told with every answer.

use async_graphql::{Response, value};
use backchannel_domain::rates::Allowance;

use crate::error::whole_seconds;

/// Tells it in `extensions.rateLimit`, where anything is limited.
pub fn tell_allowance(response: &mut Response, allowance: Option<Allowance>) {
    if let Some(Allowance { remaining, reset }) = allowance {
        let told = value!({ "remaining": remaining, "reset": whole_seconds(reset) });
        response.extensions.insert("rateLimit".to_owned(), told);
    }
}
