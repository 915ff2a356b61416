//! Who may do what: users and their rights, digest authentication, lock-out, access lists, audit records. Decisions
//! only: requests and times come in, verdicts go out.

mod access_list;
mod audit;
pub mod basic;
pub mod digest;
mod ha1;
mod lockout;
mod password;
mod users;

pub use access_list::AccessList;
pub use audit::{AuditEvent, AuditRecord};
pub use digest::{Answered, Digest, DigestAlgorithm, Verdict};
pub use ha1::{REALM, ha1_md5, ha1_sha256};
pub use lockout::{Lockout, LockoutLimits, Penalty};
pub use password::make_password;
pub use users::{Role, User, Users};
