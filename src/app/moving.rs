//! Sending the viewers of a stream to its relay.

use super::{nearest, serving::Serving};
use crate::health::control::{Moved, Response};

/// Tells all viewers of the stream that can be told.
pub async fn obey(serving: &Serving, name: &str) -> Response {
    let Some(running) = serving.streams.iter().find(|running| running.plan.name == name) else {
        let names = serving.streams.iter().map(|running| running.plan.name.as_str());
        return Response::Failed(nearest::unknown("stream", name, names.collect()));
    };
    let Some(relay) = running.plan.relay.clone() else {
        return Response::Failed(format!("stream {name} has no `relay` to which its viewers could be sent"));
    };
    let told = serving.worker.redirect(running.hub.id(), relay.clone()).await;
    tracing::info!(stream = name, %relay, told = told.told, out_of_reach = told.out_of_reach, "viewers sent elsewhere");
    Response::Moved(Moved { relay: relay.to_string(), told: told.told as u64, out_of_reach: told.out_of_reach as u64 })
}
