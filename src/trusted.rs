//! The file of trusted operations.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use backchannel_schema::{Others, Trusted};

use crate::StartError;
use crate::config::Config;

/// Largest list, in bytes: some thousand documents.
const BYTES: u64 = 16 * 1_024 * 1_024;

/// Reads the list that is configured, if one is.
pub(crate) fn read(config: &Config) -> Result<Trusted, StartError> {
    let Some(path) = &config.trusted_operations else {
        return Ok(Trusted::default());
    };
    let others = if config.only_trusted_operations {
        Others::Refused
    } else {
        Others::Allowed
    };
    let trusted = bytes(path)
        .and_then(|bytes| Trusted::read(&bytes, others).map_err(|error| error.to_string()));
    let trusted = trusted.map_err(|because| StartError::Trusted {
        path: path.clone(),
        because,
    })?;
    let documents = trusted.documents();
    tracing::info!(documents, "read the list of trusted operations");
    Ok(trusted)
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    // One more than may be, which tells whether there are more.
    let read = file.take(BYTES + 1).read_to_end(&mut bytes);
    match read {
        Ok(read) if read as u64 > BYTES => Err(format!("it has more than {BYTES} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}
