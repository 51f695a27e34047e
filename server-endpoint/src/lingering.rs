//! What becomes of the rest of a body that was refused: it is thrown away, so much and so long, so that its
//! sender comes to read why. Of both listeners; stands before everything else on the data's way.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;

/// Of a body that was refused so many bytes are still taken and thrown away: a sender that is still
/// writing would otherwise see its connection reset before it can read the answer.
const LINGER_BYTES: usize = 8 * 1024 * 1024;
/// And for so long.
const LINGER_FOR: Duration = Duration::from_secs(5);

/// Takes what still comes of a body that was refused, and throws it away.
pub(crate) async fn linger(mut body: Body) {
    let discard = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, bytes::Bytes::len);
            if discarded > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_FOR, discard).await;
}
