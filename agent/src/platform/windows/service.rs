//! What runs the agent as a service: Windows' service control manager (SCM). It is told that the service
//! runs at once, since it waits seconds and a journal's recovery may take minutes; what goes wrong
//! afterwards ends the service with an exit code, on which its failure actions start it again.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windows_registry::LOCAL_MACHINE;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult};
use windows_service::service_dispatcher;

use super::policy::NO_SUCH_KEY;

/// The service's name, as the installer gives it.
pub const NAME: &str = "BranchlineAgent";

/// Where the SCM keeps what it knows of the service, and under which name the line that starts it.
const KEY: &str = r"SYSTEM\CurrentControlSet\Services\BranchlineAgent";
const COMMAND: &str = "ImagePath";

/// How long the agent may take to end; it needs less.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Nobody asks for it.
pub fn tell_ready() {}

/// The SCM was told when it asked for the end.
pub fn tell_stopping() {}

/// Nobody asks for it.
pub fn tell_alive() {}

/// The SCM starts a service again that ended, and does not ask whether one lives.
pub fn alive_every() -> Option<Duration> {
    None
}

/// Puts another line in place of the one that starts the service, where `revise` gives one; nothing where
/// there is no such service.
pub fn revise_command(revise: impl FnOnce(&str) -> Option<String>) -> io::Result<()> {
    let command = match LOCAL_MACHINE.options().read().open(KEY) {
        Ok(key) => key.get_string(COMMAND)?,
        Err(fault) if fault.code().0.cast_unsigned() == NO_SUCH_KEY => return Ok(()),
        Err(fault) => return Err(fault.into()),
    };
    let Some(revised) = revise(&command) else {
        return Ok(());
    };
    let key = LOCAL_MACHINE.options().read().write().open(KEY)?;
    Ok(key.set_expand_string(COMMAND, revised)?)
}

/// The agent, which ends when the token is cancelled and gives the process's exit code.
type Agent = Box<dyn FnOnce(CancellationToken) -> u8 + Send>;

/// What the SCM's thread takes up: it calls a function that can be given nothing.
static AGENT: Mutex<Option<Agent>> = Mutex::new(None);

/// Runs the agent for the SCM, until that asks for its end. Fails where the SCM did not start this process.
pub fn run(agent: impl FnOnce(CancellationToken) -> u8 + Send + 'static) -> io::Result<()> {
    *AGENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(agent));
    service_dispatcher::start(NAME, service_entry).map_err(io::Error::other)
}

windows_service::define_windows_service!(service_entry, service_main);

fn service_main(_arguments: Vec<std::ffi::OsString>) {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let registered = service_control_handler::register(NAME, move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            stop.cancel();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    });
    let handle = match registered {
        Ok(handle) => handle,
        Err(fault) => {
            tracing::error!(%fault, "speak with the service control manager");
            return;
        }
    };
    let tell = |status: ServiceStatus| {
        if let Err(fault) = handle.set_service_status(status) {
            tracing::error!(%fault, "tell the service control manager");
        }
    };
    tell(status(ServiceState::Running, 0));
    let agent = AGENT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let code = agent.map_or(0, |agent| agent(shutdown));
    tell(status(ServiceState::Stopped, code));
}

fn status(state: ServiceState, code: u8) -> ServiceStatus {
    let (accepted, hint) = match state {
        ServiceState::Running => (
            ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
            Duration::ZERO,
        ),
        _ => (ServiceControlAccept::empty(), STOP_WITHIN),
    };
    ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepted,
        exit_code: match code {
            0 => ServiceExitCode::NO_ERROR,
            code => ServiceExitCode::ServiceSpecific(u32::from(code)),
        },
        checkpoint: 0,
        wait_hint: hint,
        process_id: None,
    }
}
