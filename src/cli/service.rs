//! What a service manager is told (sd_notify): ready, stopping, and that the work gets on. Without one, nothing is said.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use prism::pipeline::heartbeat;

/// The manager's socket, if there is one.
#[derive(Debug)]
pub struct Service {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Service {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self::told(
            variable("NOTIFY_SOCKET").as_deref(),
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
        )
    }

    fn told(socket: Option<&str>, watchdog_us: Option<&str>, watchdog_pid: Option<&str>) -> Self {
        let address = socket.and_then(|socket| {
            match socket.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(socket),
            }
            .ok()
        });
        let own = std::process::id().to_string();
        let is_ours = watchdog_pid.is_none_or(|pid| pid == own);
        let watchdog = watchdog_us
            .filter(|_| is_ours)
            .and_then(|text| text.parse().ok())
            .filter(|us| *us > 0)
            .map(Duration::from_micros);
        Self { address, watchdog }
    }

    fn say(&self, text: &str) {
        if let Some(address) = &self.address {
            // A manager that does not listen any more is nobody to complain to.
            let _ = UnixDatagram::unbound()
                .and_then(|socket| socket.send_to_addr(text.as_bytes(), address));
        }
    }

    /// The outbox is ours and the inbox is watched.
    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Asked to stop.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Tells the watchdog twice in its time, from a thread, that the work gets on; not, when it does not.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn watch_over(&self) -> io::Result<()> {
        let (Some(limit), Some(address)) = (self.watchdog, self.address.clone()) else {
            return Ok(());
        };
        let service = Self {
            address: Some(address),
            watchdog: None,
        };
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                loop {
                    if heartbeat::age() < limit {
                        service.say("WATCHDOG=1");
                    }
                    std::thread::sleep(limit / 2);
                }
            })
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_told_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("prism-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        let mut buffer = [0; 64];
        for (socket, told) in [
            (by_path, path.display().to_string()),
            (by_name, format!("@{name}")),
        ] {
            let service = Service::told(Some(&told), None, None);
            service.ready("watching");
            service.stopping();
            let count = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"READY=1\nSTATUS=watching");
            let count = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"STOPPING=1");
        }
        Service::told(None, None, None).ready("nobody");
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let own = std::process::id().to_string();
        let limit = |us, pid| Service::told(None, us, pid).watchdog;
        assert_eq!(limit(Some("5000000"), None), Some(Duration::from_secs(5)));
        assert_eq!(
            limit(Some("5000000"), Some(&*own)),
            Some(Duration::from_secs(5))
        );
        assert_eq!(limit(Some("5000000"), Some("0")), None);
        assert_eq!(limit(Some("soon"), None), None);
        assert_eq!(limit(None, None), None);
    }

    #[test]
    fn the_watchdog_is_told_while_the_work_gets_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        heartbeat::beat();
        let service = Service::told(path.to_str(), Some("3600000000"), None);
        service.watch_over().unwrap();
        let mut buffer = [0; 64];
        let count = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"WATCHDOG=1");
    }
}
