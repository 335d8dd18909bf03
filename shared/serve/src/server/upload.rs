//! `PUT /bodies/{reference}`: an upload goes to the store piece by piece, and is never in memory as a whole.

use chaski_core::limits;
use chaski_core::problem::Problem;
use chaski_embedded::{ReceiveError, Receiving, Store};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::{Patience, body};

/// Takes an upload to its end; its size.
///
/// # Errors
/// 404 where none was promised, 409 the second time, 413 over the limit, 400 when it stops coming, 503 when the store
/// does not take it.
pub(super) async fn receive(
    store: &Store,
    reference: &str,
    incoming: &mut Incoming,
    patience: &Patience,
) -> Result<u64, Problem> {
    if incoming.size_hint().lower() > u64::try_from(limits::LARGE_BODY_BYTES).unwrap_or(u64::MAX) {
        return Err(problem(ReceiveError::TooLarge));
    }
    let receiving = store.receive(reference).await.map_err(problem)?;
    timeout(patience.body, pieces(receiving, incoming, patience)).await.map_err(|_| body::slow())?
}

async fn pieces(mut receiving: Receiving, incoming: &mut Incoming, patience: &Patience) -> Result<u64, Problem> {
    while let Some(piece) = body::next(incoming, patience).await? {
        receiving.write(&piece).await.map_err(problem)?;
    }
    receiving.finish().await.map_err(problem)
}

fn problem(error: ReceiveError) -> Problem {
    let status = match &error {
        ReceiveError::Unknown => 404,
        ReceiveError::Twice => 409,
        ReceiveError::TooLarge => 413,
        ReceiveError::Unavailable(why) => {
            tracing::warn!(event.action = "bodies_unavailable", "{why}");
            return Problem::new(503, "the body can't be kept now; it is safe to send it again");
        }
    };
    Problem::new(status, error.to_string())
}
