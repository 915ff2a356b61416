use super::Server;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The config where none is named.
pub const DEFAULT_FILE: &str = "/etc/eyrie/eyrie.toml";
const SYSTEM_STATE_DIR: &str = "/var/lib/eyrie";
const SYSTEM_CONTROL_SOCKET: &str = "/run/eyrie/control.sock";

/// What the defaults of paths depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The effective user.
    pub uid: u32,
    /// `$STATE_DIRECTORY` and `$RUNTIME_DIRECTORY` are systemd's (systemd.exec(5)).
    pub state_directory: Option<OsString>,
    pub runtime_directory: Option<OsString>,
    pub xdg_state_home: Option<OsString>,
    pub xdg_runtime_dir: Option<OsString>,
    pub home: Option<OsString>,
}

impl Environment {
    /// Of this process.
    pub fn of_process() -> Self {
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            state_directory: std::env::var_os("STATE_DIRECTORY"),
            runtime_directory: std::env::var_os("RUNTIME_DIRECTORY"),
            xdg_state_home: std::env::var_os("XDG_STATE_HOME"),
            xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR"),
            home: std::env::var_os("HOME"),
        }
    }

    /// `/tmp/eyrie-UID`, where nothing better is known.
    fn makeshift(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/eyrie-{}", self.uid))
    }

    fn plain_control_socket(&self) -> PathBuf {
        let runtime = absolute(&self.xdg_runtime_dir).map(|dir| dir.join("eyrie"));
        runtime.unwrap_or_else(|| self.makeshift()).join("control.sock")
    }
}

/// Where a server keeps what it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    pub state_dir: PathBuf,
    pub control_socket: PathBuf,
}

impl Paths {
    /// The config's own paths, else the defaults of `environment`.
    pub fn new(server: &Server, environment: &Environment) -> Self {
        let plain_user = environment.uid != 0;
        let state_dir = || {
            if let Some(dir) = absolute(&environment.state_directory) {
                dir
            } else if !plain_user {
                SYSTEM_STATE_DIR.into()
            } else if let Some(dir) = absolute(&environment.xdg_state_home) {
                dir.join("eyrie")
            } else if let Some(home) = absolute(&environment.home) {
                home.join(".local/state/eyrie")
            } else {
                environment.makeshift()
            }
        };
        let control_socket = || {
            if let Some(dir) = absolute(&environment.runtime_directory) {
                dir.join("control.sock")
            } else if !plain_user {
                SYSTEM_CONTROL_SOCKET.into()
            } else {
                environment.plain_control_socket()
            }
        };
        Self {
            state_dir: server.state_dir.clone().unwrap_or_else(state_dir),
            control_socket: server.control_socket.clone().unwrap_or_else(control_socket),
        }
    }

    /// Where a client that is told nothing looks for a server, in this order.
    pub fn control_sockets(environment: &Environment) -> Vec<PathBuf> {
        vec![environment.plain_control_socket(), SYSTEM_CONTROL_SOCKET.into()]
    }
}

/// The first of a `:`-separated list, if it is absolute (the XDG base directory specification ignores others).
fn absolute(value: &Option<OsString>) -> Option<PathBuf> {
    let list = value.as_ref()?;
    let first = std::env::split_paths(list).next()?;
    Some(first).filter(|path| Path::is_absolute(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(environment: Environment) -> (String, String) {
        let paths = Paths::new(&Server::default(), &environment);
        (paths.state_dir.display().to_string(), paths.control_socket.display().to_string())
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn defaults_follow_the_environment() {
        let root = Environment { home: Some("/root".into()), ..Environment::default() };
        assert_eq!(paths(root.clone()), pair("/var/lib/eyrie", "/run/eyrie/control.sock"));
        let systemd = Environment {
            uid: 990,
            state_directory: Some("/var/lib/private/eyrie:/var/lib/other".into()),
            runtime_directory: Some("/run/eyrie".into()),
            ..root
        };
        assert_eq!(paths(systemd), pair("/var/lib/private/eyrie", "/run/eyrie/control.sock"));
        let plain = Environment { uid: 1000, home: Some("/home/me".into()), ..Environment::default() };
        assert_eq!(paths(plain.clone()), pair("/home/me/.local/state/eyrie", "/tmp/eyrie-1000/control.sock"));
        let desktop = Environment {
            xdg_state_home: Some("/home/me/state".into()),
            xdg_runtime_dir: Some("/run/user/1000".into()),
            ..plain.clone()
        };
        assert_eq!(paths(desktop), pair("/home/me/state/eyrie", "/run/user/1000/eyrie/control.sock"));
        let odd = Environment { xdg_state_home: Some("relative".into()), xdg_runtime_dir: Some("".into()), ..plain };
        assert_eq!(paths(odd), pair("/home/me/.local/state/eyrie", "/tmp/eyrie-1000/control.sock"));
        let nobody = Environment { uid: 65534, ..Environment::default() };
        assert_eq!(paths(nobody), pair("/tmp/eyrie-65534", "/tmp/eyrie-65534/control.sock"));
    }

    #[test]
    fn the_config_wins() {
        let server =
            Server { state_dir: Some("/data".into()), control_socket: Some("/data/c".into()), ..Server::default() };
        let paths = Paths::new(&server, &Environment::default());
        assert_eq!((paths.state_dir, paths.control_socket), ("/data".into(), "/data/c".into()));
    }

    #[test]
    fn clients_look_where_servers_are() {
        let sockets = |environment| {
            let sockets = Paths::control_sockets(&environment);
            sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let plain = Environment { uid: 1000, ..Environment::default() };
        assert_eq!(sockets(plain), ["/tmp/eyrie-1000/control.sock", "/run/eyrie/control.sock"]);
        let desktop = Environment { xdg_runtime_dir: Some("/run/user/1000".into()), ..Environment::default() };
        assert_eq!(sockets(desktop), ["/run/user/1000/eyrie/control.sock", "/run/eyrie/control.sock"]);
    }
}
