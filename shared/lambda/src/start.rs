//! The start of a function: settings, read whole, and the log.

use std::path::PathBuf;
use std::sync::Arc;

use chaski_core::logger::{self, Service};
use chaski_core::settings::{self, Mistake, Settings, SettingsError};
use chaski_system::SystemClock;

/// Where Lambda unpacks the package.
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";

/// Reads `chaski.toml` from the package (no file is no settings) and the environment, and begins the log.
///
/// # Errors
/// Every wrong setting; the function must not start.
pub fn start(service: &'static str) -> Result<Arc<Settings>, SettingsError> {
    let env = |name: &str| std::env::var(name).ok();
    let folder = env(TASK_ROOT).map(PathBuf::from).unwrap_or_default();
    let file = std::fs::read_to_string(folder.join(settings::FILE)).unwrap_or_default();
    let settings = Settings::read(&file, &env)?;
    refuse_unserved(&settings)?;
    let level = settings.log.level;
    let service = Service { name: service, version: env!("CARGO_PKG_VERSION"), level, cloudwatch: true };
    let subscriber = logger::subscriber(service, SystemClock::start(), std::io::stdout());
    // A second start in one process, as in a test, keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(Arc::new(settings))
}

/// A limit that spans all functions can't be counted in one of them; it is said, never ignored.
fn refuse_unserved(settings: &Settings) -> Result<(), SettingsError> {
    let limited = settings.routes.iter().enumerate().filter(|(_, route)| route.concurrency > 0);
    let mistakes: Vec<Mistake> = limited
        .map(|(n, _)| Mistake {
            setting: format!("routes[{n}].concurrency"),
            detail: "is not served on AWS; leave it out, or set it to 0".to_owned(),
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(SettingsError(mistakes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_s_own_concurrency_stops_the_start() {
        let read = |concurrency: u32| {
            let file = format!("[[routes]]\nname = \"messages\"\npattern = \"*\"\nconcurrency = {concurrency}");
            Settings::read(&file, &|_| None).unwrap()
        };
        assert!(refuse_unserved(&read(0)).is_ok());
        assert_eq!(refuse_unserved(&read(1)).unwrap_err().0[0].setting, "routes[0].concurrency");
    }
}
