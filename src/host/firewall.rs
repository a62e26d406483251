//! Whether the kernel still holds a table of rules of ours, asked over netlink: `nft` would be a process for each look.
//!
//! One question in the kernel's own format (`linux/netfilter/nf_tables.h`), which is less than any crate for it.
//! Nothing is changed here: the rules are loaded by the units.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

/// Attributes of a chain, and of the question for one.
const TABLE: u16 = 1;
const NAME: u16 = 3;
const USE: u16 = 6;

/// nlmsghdr and nfgenmsg.
const HEAD: usize = 16 + 4;

/// The rest of an attribute's type is flags.
const TYPE: u16 = 0x3fff;

/// A family of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// What is routed, of either version of IP.
    Inet,
    /// What goes from one port of a bridge to another.
    Bridge,
}

impl Family {
    const fn number(self) -> i32 {
        match self {
            Self::Inet => libc::NFPROTO_INET,
            Self::Bridge => libc::NFPROTO_BRIDGE,
        }
    }
}

/// Whether each of these chains of the table exists and has a rule.
pub fn has_rules(family: Family, table: &str, chains: &[&str]) -> io::Result<bool> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)?;
    for chain in chains {
        if rules(&socket, family, table, chain)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many rules the chain has; 0 too where there is no such chain, or no such table.
fn rules(socket: &OwnedFd, family: Family, table: &str, chain: &str) -> io::Result<u32> {
    let question = question(family, table, chain);
    sendto(socket.as_raw_fd(), &question, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 8192];
    // The kernel answers before the call above returns.
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    understand(answer.get(..length).unwrap_or_default())
}

fn question(family: Family, table: &str, chain: &str) -> Vec<u8> {
    let attributes = [attribute(TABLE, table), attribute(NAME, chain)].concat();
    let kind = libc::NFNL_SUBSYS_NFTABLES << 8 | libc::NFT_MSG_GETCHAIN;
    let mut message = Vec::new();
    message.extend(u32::try_from(HEAD + attributes.len()).unwrap_or_default().to_ne_bytes());
    message.extend(u16::try_from(kind).unwrap_or_default().to_ne_bytes());
    message.extend(u16::try_from(libc::NLM_F_REQUEST).unwrap_or_default().to_ne_bytes());
    // Sequence and sender are the kernel's to fill in or to repeat.
    message.extend([0; 8]);
    message.extend([u8::try_from(family.number()).unwrap_or_default(), 0, 0, 0]);
    message.extend(attributes);
    message
}

/// Length, type, the text and its end, filled up to whole words.
fn attribute(kind: u16, text: &str) -> Vec<u8> {
    let length = 4 + text.len() + 1;
    let mut bytes = Vec::new();
    bytes.extend(u16::try_from(length).unwrap_or_default().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

fn understand(answer: &[u8]) -> io::Result<u32> {
    let garbled = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = u16::from_ne_bytes(bytes(answer, 4).ok_or_else(garbled)?);
    if i32::from(kind) == libc::NLMSG_ERROR {
        let error = i32::from_ne_bytes(bytes(answer, 16).ok_or_else(garbled)?);
        return if error == -libc::ENOENT { Ok(0) } else { Err(io::Error::from_raw_os_error(-error)) };
    }
    let mut rest = answer.get(HEAD..).ok_or_else(garbled)?;
    while let (Some(length), Some(kind)) = (bytes(rest, 0), bytes(rest, 2)) {
        if u16::from_ne_bytes(kind) & TYPE == USE {
            return Ok(u32::from_be_bytes(bytes(rest, 4).ok_or_else(garbled)?));
        }
        let length = usize::from(u16::from_ne_bytes(length)).next_multiple_of(4);
        rest = rest.get(length.max(4)..).unwrap_or_default();
    }
    Err(garbled())
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to the question for a chain with so many rules, as the kernel writes it.
    fn answer(rules: u32) -> Vec<u8> {
        let mut message = question(Family::Inet, "photos_agent", "forward");
        let count = [8_u16.to_ne_bytes(), USE.to_ne_bytes()].concat();
        message.extend(count);
        message.extend(rules.to_be_bytes());
        message
    }

    fn error(number: i32) -> Vec<u8> {
        let kind = u16::try_from(libc::NLMSG_ERROR).unwrap();
        [&[36, 0, 0, 0][..], &kind.to_ne_bytes(), &[0; 10], &(-number).to_ne_bytes(), &[0; 16]].concat()
    }

    #[test]
    fn a_question_is_whole_words_and_knows_its_length() {
        let question = question(Family::Inet, "photos_agent", "forward");
        assert_eq!(question.len(), 16 + 4 + (4 + 16) + (4 + 8));
        assert_eq!(u32::from_ne_bytes(bytes(&question, 0).unwrap()), 52);
        assert_eq!(&question[20..38], [&[17, 0, 1, 0][..], b"photos_agent\0\0"].concat());
    }

    #[test]
    fn an_answer_is_a_number_of_rules_or_an_error() {
        assert_eq!(understand(&answer(3)).unwrap(), 3);
        assert_eq!(understand(&answer(0)).unwrap(), 0);
        assert_eq!(understand(&error(libc::ENOENT)).unwrap(), 0, "no such table");
        assert_eq!(understand(&error(libc::EPERM)).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for length in 0..answer(3).len() {
            assert!(understand(&answer(3)[..length]).is_err(), "{length}");
        }
    }
}
