//! An answer that is an error.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ferrule_api::{
    chain::chain,
    plugin::{ApiError, code},
};

use crate::attachment::AttachmentError;

/// An error as the plugin expects it.
pub(super) struct Refusal(pub ApiError);

impl Refusal {
    /// What was asked for is no use.
    pub fn invalid(msg: String) -> Self {
        Self(ApiError { code: code::INVALID, msg, details: String::new() })
    }

    /// The kernel does not give a map.
    pub fn unreadable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(ApiError { code: code::KERNEL, msg: "the maps cannot be read".into(), details: chain(error) })
    }
}

impl From<AttachmentError> for Refusal {
    fn from(error: AttachmentError) -> Self {
        Self(ApiError::from(&error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            code::TRY_AGAIN => StatusCode::SERVICE_UNAVAILABLE,
            code::UNKNOWN_CONTAINER => StatusCode::NOT_FOUND,
            code::INVALID => StatusCode::BAD_REQUEST,
            code::ADDRESSES | code::EXISTS | code::DAMAGED => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}
