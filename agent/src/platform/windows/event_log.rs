//! The agent's log where it runs as a service: Windows' event log, with its own bounds and its own reader.
//! Its source is registered by the installer; without that, events still come, with a remark around them.

use std::io;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Characters of an event; Windows takes 31,839.
const EVENT_CHARS: usize = 8_192;

/// Each line becomes one event.
pub struct EventLog;

/// One event's text.
pub struct Event {
    level: Level,
}

impl<'a> MakeWriter<'a> for EventLog {
    type Writer = Event;

    fn make_writer(&'a self) -> Event {
        Event { level: Level::INFO }
    }

    fn make_writer_for(&'a self, facts: &Metadata<'_>) -> Event {
        Event {
            level: *facts.level(),
        }
    }
}

impl io::Write for Event {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text: String = String::from_utf8_lossy(line)
            .trim_end()
            .chars()
            .filter(|&c| c != '\0')
            .take(EVENT_CHARS)
            .collect();
        report::event(self.level, &text)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "the Windows API is called directly; each call states why it is sound"
)]
mod report {
    use std::io;

    use tracing::Level;
    use windows_sys::Win32::System::EventLog::{
        DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE,
        EVENTLOG_WARNING_TYPE, RegisterEventSourceW, ReportEventW,
    };

    /// The message that is the event's text and nothing else, in the file that the installer names.
    const TEXT_ALONE: u32 = 1;

    pub(super) fn event(level: Level, text: &str) -> io::Result<()> {
        let kind = match level {
            Level::ERROR => EVENTLOG_ERROR_TYPE,
            Level::WARN => EVENTLOG_WARNING_TYPE,
            _ => EVENTLOG_INFORMATION_TYPE,
        };
        let source = wide(super::super::service::NAME);
        let text = wide(text);
        let texts = [text.as_ptr()];
        // SAFETY: `source` ends in zero and outlives the call.
        let log = unsafe { RegisterEventSourceW(std::ptr::null(), source.as_ptr()) };
        if log.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `log` is open; `texts` holds one text that ends in zero, as the count says, and both
        // outlive the call; no user and no bytes are given.
        let reported = unsafe {
            ReportEventW(
                log,
                kind,
                0,
                TEXT_ALONE,
                std::ptr::null_mut(),
                1,
                0,
                texts.as_ptr(),
                std::ptr::null(),
            )
        };
        // SAFETY: `log` was opened above and is not used afterwards.
        unsafe { DeregisterEventSource(log) };
        if reported == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().chain([0]).collect()
    }
}
