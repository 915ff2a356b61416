//! Reading and setting a camera's controls while it runs.

use super::nearest;
use crate::{device::DeviceError, health::control::Response, media::ControlValue, stream::CameraSource};
use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// A driver that takes longer is left to itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers with all controls of the camera, the named one, or the named one after it was set.
pub fn obey(
    cameras: &BTreeMap<String, Arc<CameraSource>>,
    camera: &str,
    name: Option<String>,
    value: Option<String>,
    answer: oneshot::Sender<Response>,
) {
    let Some(source) = cameras.get(camera).cloned() else {
        let _ = answer.send(Response::Failed(nearest::unknown(
            "camera",
            camera,
            cameras.keys().map(String::as_str).collect(),
        )));
        return;
    };
    let (done, response) = oneshot::channel();
    // A thread of its own: a driver may keep whoever asks it.
    let asked = thread::Builder::new().name("controls".into()).spawn(move || {
        let _ = done.send(ask(&source, name.as_deref(), value.as_deref()));
    });
    tokio::spawn(async move {
        let response = match (asked, timeout(PATIENCE, response).await) {
            (Ok(_), Ok(Ok(response))) => response,
            (Ok(_), _) => Response::Failed("the camera's driver does not answer".to_owned()),
            (Err(error), _) => Response::Failed(error.to_string()),
        };
        let _ = answer.send(response);
    });
}

fn ask(source: &CameraSource, name: Option<&str>, value: Option<&str>) -> Response {
    let failed = |error: DeviceError| Response::Failed(error.to_string());
    match (name, value) {
        (Some(name), Some(value)) => {
            source.set_control(name, ControlValue::from(value)).map_or_else(failed, |one| Response::Controls(vec![one]))
        }
        (Some(name), None) => source.control(name).map_or_else(failed, |one| Response::Controls(vec![one])),
        (None, _) => source.controls().map_or_else(failed, Response::Controls),
    }
}
