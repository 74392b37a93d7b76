//! A request's body as JSON, within bounds of size and time.

use std::time::Duration;

use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::ApiError;

/// Bytes of a body; a thousand prices are the largest thing that anybody sends.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a client may take to send it.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = axum::Json::<T>::from_request(request, state);
        match tokio::time::timeout(BODY_TIME_MAX, read).await {
            Ok(Ok(axum::Json(body))) => Ok(Self(body)),
            Ok(Err(rejection)) => Err(refused(&rejection)),
            Err(_) => Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                "the body did not arrive in time",
                "send it at once",
            )),
        }
    }
}

fn refused(rejection: &JsonRejection) -> ApiError {
    let text = rejection.body_text();
    match rejection {
        JsonRejection::JsonDataError(_) => {
            let reason = text.rsplit_once("target type: ").map_or(&*text, |(_, reason)| reason);
            ApiError::body(reason)
        }
        JsonRejection::MissingJsonContentType(_) => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is not declared to be JSON",
            "send Content-Type: application/json",
        ),
        JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(_))
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE =>
        {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body is larger than {BODY_BYTES_MAX} bytes"),
                "send less at once",
            )
        }
        // Bad syntax, or a body that broke off; and whatever axum may add.
        _ => ApiError::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            "the body is not JSON",
            "send one JSON object",
        ),
    }
}
