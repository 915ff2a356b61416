use crate::time::WallTime;
use serde::{Serialize, Serializer};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU64,
};

/// Characters of a user's name that a record keeps: it comes from whoever likes to send one.
const MAX_NAME: usize = 64;

/// What a line of the audit trail tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditEvent {
    Connect,
    /// The first right answer on a connection, or the first of another user.
    Login,
    LoginFailed,
    /// A viewer's first PLAY.
    Play,
    /// That viewer left, with how long and how much it watched.
    End,
    Lockout,
    /// A lock-out ended before its time.
    Unban,
    /// A changed config was applied.
    Reload,
}

/// A line of the audit trail. What an event has not is null; nothing that opens a door is ever in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRecord {
    #[serde(serialize_with = "rfc_3339")]
    pub time: WallTime,
    pub event: AuditEvent,
    /// Of the client, an IPv4 address as such even where it came through an IPv6 socket.
    pub address: Option<IpAddr>,
    /// The client's TCP port: behind address translation it tells one host from another.
    pub port: Option<u16>,
    /// As logged in, or as claimed; null for anybody.
    pub user: Option<String>,
    pub stream: Option<String>,
    /// As `eyrie status` names it.
    pub transport: Option<String>,
    pub seconds: Option<f64>,
    pub bytes: Option<u64>,
    /// So many records are missing before this one: they came faster than they could be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<NonZeroU64>,
}

impl AuditRecord {
    pub fn new(time: WallTime, event: AuditEvent) -> Self {
        Self {
            time,
            event,
            address: None,
            port: None,
            user: None,
            stream: None,
            transport: None,
            seconds: None,
            bytes: None,
            lost: None,
        }
    }

    pub fn from(self, peer: SocketAddr) -> Self {
        Self { port: Some(peer.port()), ..self.of(peer.ip()) }
    }

    pub fn of(self, address: IpAddr) -> Self {
        Self { address: Some(address.to_canonical()), ..self }
    }

    pub fn by(self, user: Option<&str>) -> Self {
        Self { user: user.map(|user| user.chars().take(MAX_NAME).collect()), ..self }
    }

    /// One line of JSON, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a struct of texts and finite numbers is JSON")
    }
}

/// `2026-03-01T12:00:00.123Z`.
fn rfc_3339<S: Serializer>(time: &WallTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::from_millisecond(time.as_millis() as i64).unwrap_or_default();
    serializer.collect_str(&format_args!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_of_the_agreed_fields() {
        let time = WallTime::from_nanos(1_772_366_400_120_000_000);
        let end = AuditRecord {
            stream: Some("main".into()),
            transport: Some("tcp+tls".into()),
            seconds: Some(1.5),
            bytes: Some(7),
            ..AuditRecord::new(time, AuditEvent::End).from("[::ffff:192.168.1.7]:5000".parse().unwrap()).by(Some("nvr"))
        };
        assert_eq!(
            end.line(),
            r#"{"time":"2026-03-01T12:00:00.120Z","event":"end","address":"192.168.1.7","port":5000,"user":"nvr","stream":"main","transport":"tcp+tls","seconds":1.5,"bytes":7}"#
        );
        let reload = AuditRecord::new(time, AuditEvent::Reload);
        assert_eq!(
            reload.line(),
            r#"{"time":"2026-03-01T12:00:00.120Z","event":"reload","address":null,"port":null,"user":null,"stream":null,"transport":null,"seconds":null,"bytes":null}"#
        );
    }

    #[test]
    fn no_name_adds_a_line_or_fills_the_disk() {
        let claimed = format!("a\r\n{{\"event\":\"login\"}}{}", "x".repeat(10_000));
        let line = AuditRecord::new(WallTime::default(), AuditEvent::LoginFailed).by(Some(&claimed)).line();
        assert!(!line.contains(['\r', '\n']) && line.len() < 400, "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((read["event"].as_str(), read["user"].as_str().unwrap().len()), (Some("login-failed"), MAX_NAME));
    }
}
