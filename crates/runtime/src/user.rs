//! Who `user[:group]` is inside an image.
//!
//! Names are looked up in the image's own `etc/passwd` and `etc/group`, read through a handle on
//! its root and never larger than [`FILE_MAX`]. What the image writes there can choose among the
//! identities a process may have and nothing else: a line that is not understood is no line, an
//! identity that does not fit 31 bits is refused and not cut, and a number is a number, never
//! somebody's name.

use std::io;

use wharf_sys::rooted::{Root, RootedError};

/// The largest file that is read.
pub const FILE_MAX: u64 = 1 << 20;

/// The largest identity; the kernel's type has one bit more, other programs' have not.
const ID_MAX: u32 = i32::MAX.cast_unsigned();

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Where an image's account files are read.
pub trait AccountFiles {
    /// What is in the file at `path`, which may have [`FILE_MAX`] bytes; nothing if there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RootedError>;
}

impl AccountFiles for Root {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RootedError> {
        match self.read_bounded(path, FILE_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Who a process is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups; the primary one is the first of them.
    pub additional_gids: Vec<u32>,
    /// Home directory, if the image says.
    pub home: Option<String>,
}

/// Why a user or group could not be found. The words are those of other engines.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such name.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// No such name.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// A number out of range.
    #[error("uids and gids must be in range 0-2147483647: {0:?}")]
    Range(String),
    /// A file that could not be read, or is too large.
    #[error(transparent)]
    File(#[from] RootedError),
}

/// Find out who `user` is: nothing for root, a name or number, each with `:group` or without.
/// `extra` are further groups by name or number.
pub fn resolve(
    files: &dyn AccountFiles,
    user: &str,
    extra: &[String],
) -> Result<Identity, UserError> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, group),
        None => (user, ""),
    };
    let passwd = read(files, PASSWD)?;
    let number = if name.is_empty() {
        Some(0)
    } else {
        number_of(name)?
    };
    let entry = entries(&passwd).find_map(|line| {
        let account = Account::parse(line)?;
        let found = match number {
            Some(uid) => account.uid == uid,
            None => account.name == name,
        };
        found.then_some(account)
    });
    let (uid, gid) = match (&entry, number) {
        (Some(account), _) => (account.uid, account.gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) => return Err(UserError::NoUser(name.to_owned())),
    };
    let needs_groups = !group.is_empty() || entry.is_some() || !extra.is_empty();
    let file = if needs_groups {
        read(files, GROUP)?
    } else {
        String::new()
    };
    let gid = match group {
        "" => gid,
        group => group_id(&file, group)?,
    };
    let mut groups = vec![gid];
    // A group that is given replaces the user's own.
    if let (Some(account), "") = (&entry, group) {
        for member_of in memberships(&file, account.name) {
            push_new(&mut groups, member_of);
        }
    }
    for group in extra {
        push_new(&mut groups, group_id(&file, group)?);
    }
    Ok(Identity {
        uid,
        gid,
        additional_gids: groups,
        home: entry.map(|account| account.home.to_owned()),
    })
}

/// The home directory of a user, if the image says.
#[must_use]
pub fn home(root: &Root, uid: u32) -> Option<String> {
    let passwd = read(root, PASSWD).ok()?;
    entries(&passwd)
        .filter_map(Account::parse)
        .find(|account| account.uid == uid)
        .map(|account| account.home.to_owned())
        .filter(|home| !home.is_empty() && !home.contains('\0'))
}

fn push_new(groups: &mut Vec<u32>, group: u32) {
    if !groups.contains(&group) {
        groups.push(group);
    }
}

fn group_id(file: &str, group: &str) -> Result<u32, UserError> {
    if let Some(number) = number_of(group)? {
        return Ok(number);
    }
    entries(file)
        .filter_map(Group::parse)
        .find(|known| known.name == group)
        .map(|known| known.gid)
        .ok_or_else(|| UserError::NoGroup(group.to_owned()))
}

fn memberships<'a>(file: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    entries(file)
        .filter_map(Group::parse)
        .filter(move |group| group.members.split(',').any(|member| member == user))
        .map(|group| group.gid)
}

/// The number that a text is; none if it is a name. A number that is too large or negative is
/// neither (CVE-2024-40635, CVE-2026-46680).
fn number_of(text: &str) -> Result<Option<u32>, UserError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let range = || UserError::Range(text.to_owned());
    let number: u64 = digits.parse().map_err(|_| range())?;
    if text.starts_with('-') && number != 0 {
        return Err(range());
    }
    match u32::try_from(number) {
        Ok(number @ ..=ID_MAX) => Ok(Some(number)),
        _ => Err(range()),
    }
}

fn read(files: &dyn AccountFiles, path: &str) -> Result<String, UserError> {
    let bytes = files.read(path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn entries(file: &str) -> impl Iterator<Item = &str> {
    file.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// An identity in a file: digits, in range.
fn id(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&id| id <= ID_MAX)
}

/// `name:password:uid:gid:comment:home:shell`
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    fn parse(line: &'a str) -> Option<Account<'a>> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
        Some(Account {
            name,
            uid,
            gid,
            home: fields.nth(1).unwrap_or_default(),
        })
    }
}

/// `name:password:gid:members`
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Group<'a> {
    fn parse(line: &'a str) -> Option<Group<'a>> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = id(fields.nth(1)?)?;
        Some(Group {
            name,
            gid,
            members: fields.next().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const USERS: &str = "\
root:x:0:0:root:/root:/bin/sh
web:x:33:33::/var/www:/bin/false
# a comment
broken line
zero:x:abc:0::/:/bin/sh
4294967296:x:77:77::/:/bin/sh
huge:x:4294967296:0::/:/bin/sh
minus:x:-1:0::/:/bin/sh
";
    const GROUPS: &str = "\
root:x:0:
web:x:33:
video:x:44:web,other
audio:x:29:other,web
1000:x:55:
";

    fn image(passwd: &str, group: &str) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        fs::write(dir.path().join("etc/group"), group).unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    fn who(user: &str) -> Result<(u32, u32, Vec<u32>), UserError> {
        let (_dir, root) = image(USERS, GROUPS);
        resolve(&root, user, &[]).map(|who| (who.uid, who.gid, who.additional_gids))
    }

    #[test]
    fn a_name_brings_its_group_and_memberships() {
        assert_eq!(who("web").unwrap(), (33, 33, vec![33, 44, 29]));
        assert_eq!(who("33").unwrap(), (33, 33, vec![33, 44, 29]));
        assert_eq!(who("").unwrap(), (0, 0, vec![0]));
    }

    #[test]
    fn a_group_that_is_given_stands_alone() {
        assert_eq!(who("web:video").unwrap(), (33, 44, vec![44]));
        assert_eq!(who("web:7").unwrap(), (33, 7, vec![7]));
        assert_eq!(who(":44").unwrap(), (0, 44, vec![44]));
        // A number is a number even if a group is called so.
        assert_eq!(who("web:1000").unwrap(), (33, 1000, vec![1000]));
    }

    #[test]
    fn a_number_without_an_entry_is_taken_as_it_is() {
        assert_eq!(who("4711").unwrap(), (4711, 0, vec![0]));
        assert_eq!(who("4711:4712").unwrap(), (4711, 4712, vec![4712]));
        assert_eq!(who("1:").unwrap(), (1, 0, vec![0]));
    }

    #[test]
    fn unknown_names_are_told_in_the_words_clients_know() {
        assert_eq!(
            who("nobody").unwrap_err().to_string(),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(
            who("web:nothing").unwrap_err().to_string(),
            "unable to find group nothing: no matching entries in group file"
        );
    }

    #[test]
    fn cve_2026_46680_a_number_that_does_not_fit_is_neither_a_name_nor_cut() {
        for user in [
            "4294967296",
            "2147483648",
            "-1",
            "99999999999999999999",
            "1:4294967296",
        ] {
            let error = who(user).unwrap_err();
            assert!(matches!(error, UserError::Range(_)), "{user}: {error}");
        }
        assert_eq!(who("2147483647").unwrap().0, 2_147_483_647);
    }

    #[test]
    fn cve_2024_40635_an_entry_whose_identity_does_not_fit_is_no_entry() {
        for user in ["huge", "minus", "zero"] {
            assert!(
                matches!(who(user).unwrap_err(), UserError::NoUser(_)),
                "{user}"
            );
        }
    }

    #[test]
    fn cve_2026_30892_odd_specifications_never_become_another_user() {
        assert_eq!(who(":").unwrap(), (0, 0, vec![0]));
        assert!(who(" ").is_err());
        assert!(who("web ").is_err());
        assert!(who("ro ot").is_err());
    }

    #[test]
    fn cve_2026_47262_a_group_file_without_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/passwd"), USERS).unwrap();
        let file = fs::File::create(dir.path().join("etc/group")).unwrap();
        file.set_len(1 << 30).unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(matches!(
            resolve(&root, "web", &[]).unwrap_err(),
            UserError::File(_)
        ));
    }

    #[test]
    fn a_passwd_that_is_a_link_out_of_the_image_reads_nothing_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        symlink("/etc/hostname", dir.path().join("etc/passwd")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(matches!(
            resolve(&root, "root", &[]).unwrap_err(),
            UserError::NoUser(_)
        ));
    }

    #[test]
    fn further_groups_are_added_once() {
        let (_dir, root) = image(USERS, GROUPS);
        let extra = ["video".to_owned(), "9".to_owned(), "44".to_owned()];
        let who = resolve(&root, "web", &extra).unwrap();
        assert_eq!(who.additional_gids, [33, 44, 29, 9]);
        assert!(resolve(&root, "web", &["none".to_owned()]).is_err());
    }

    #[test]
    fn the_home_directory_is_the_images_word() {
        let (_dir, root) = image(USERS, GROUPS);
        assert_eq!(home(&root, 33).as_deref(), Some("/var/www"));
        assert_eq!(home(&root, 4711), None);
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(user in ".{0,40}", passwd in "(?s).{0,200}") {
            let (_dir, root) = image(&passwd, &passwd);
            if let Ok(who) = resolve(&root, &user, &[]) {
                prop_assert!(who.uid <= ID_MAX && who.gid <= ID_MAX);
                prop_assert_eq!(who.additional_gids.first(), Some(&who.gid));
            }
        }
    }
}
