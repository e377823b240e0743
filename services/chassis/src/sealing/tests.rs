//! What is sealed, by whom it is unsealed, and which files of keys are usable.

use super::*;

const CODE: &str = "01AB-CDEF-GHJK-MNPQ";
const OLD: [u8; SECRET_BYTES] = [1; SECRET_BYTES];
const NEW: [u8; SECRET_BYTES] = [2; SECRET_BYTES];

fn keys(secrets: &[[u8; SECRET_BYTES]]) -> SealingKeys {
    SealingKeys::given(secrets)
}

fn sealed(secret: [u8; SECRET_BYTES]) -> String {
    keys(&[secret]).seal(CODE, "ann").expect("there is a key")
}

#[test]
fn a_sealed_value_tells_nothing_and_is_unsealed_for_its_owner() {
    let sealed = sealed(OLD);
    assert!(sealed.starts_with("sealed:v1:") && !sealed.contains(CODE), "{sealed}");
    let digits = to_hex(CODE.as_bytes());
    assert!(!sealed.contains(&digits), "{sealed}");
    assert_eq!(keys(&[OLD]).unseal(&sealed, "ann").as_deref(), Ok(CODE));
}

#[test]
fn the_format_stays_readable() {
    // Stores have such values for years: another result means another version.
    let stored = "sealed:v1:ab12a18f:cdb4a6e6038ebce6fbd4bdaad57567a1c8bed76450af96d557bb82873bd8f8502198ca650beecd4504870e641ca787";
    assert_eq!(sealed(OLD), stored);
    assert_eq!(keys(&[OLD]).unseal(stored, "ann").as_deref(), Ok(CODE));
}

#[test]
fn nobody_else_unseals_it_whatever_they_hold() {
    assert_eq!(keys(&[OLD]).unseal(&sealed(OLD), "bob"), Err(UnsealError::NotAuthentic));
    assert_eq!(keys(&[OLD]).unseal(&sealed(OLD), ""), Err(UnsealError::NotAuthentic));
    let name = keys(&[OLD]).0[0].name.clone();
    assert_eq!(keys(&[NEW]).unseal(&sealed(OLD), "ann"), Err(UnsealError::NoSuchKey(name.clone())));
    assert_eq!(SealingKeys::default().unseal(&sealed(OLD), "ann"), Err(UnsealError::NoSuchKey(name)));
}

#[test]
fn a_value_that_was_changed_is_not_unsealed() {
    let sealed = sealed(OLD);
    let data = sealed.rfind(':').expect("it has parts") + 1;
    for at in data..sealed.len() {
        let mut changed = sealed.clone();
        let other = if &sealed[at..=at] == "0" { "1" } else { "0" };
        changed.replace_range(at..=at, other);
        assert_eq!(keys(&[OLD]).unseal(&changed, "ann"), Err(UnsealError::NotAuthentic), "{changed}");
    }
    for cut in [&sealed[..sealed.len() - 1], &sealed[..sealed.len() - 2], &sealed[..data], &sealed[..data - 1]] {
        assert!(keys(&[OLD]).unseal(cut, "ann").is_err(), "{cut}");
    }
    assert!(keys(&[OLD]).unseal("sealed:v1:", "ann").is_err());
}

#[test]
fn keys_are_replaced_one_by_one() {
    // Each step on all processes, while others are still at the step before.
    let steps = [keys(&[OLD]), keys(&[OLD, NEW]), keys(&[NEW, OLD])];
    for (before, after) in steps.iter().zip(&steps[1..]) {
        for (sealing, unsealing) in [(before, after), (after, before), (after, after)] {
            let sealed = sealing.seal(CODE, "ann").expect("there is a key");
            assert_eq!(unsealing.unseal(&sealed, "ann").as_deref(), Ok(CODE));
        }
    }
    assert_eq!(steps[2].seal(CODE, "ann").expect("there is a key"), sealed(NEW), "the first one seals");
}

#[test]
fn a_value_is_sealed_the_same_way_each_time_and_another_way_for_each_owner() {
    let keys = keys(&[OLD]);
    assert_eq!(sealed(OLD), sealed(OLD));
    let seal = |value, owner| keys.seal(value, owner).expect("there is a key");
    assert_ne!(seal(CODE, "ann"), seal(CODE, "bob"));
    // Customer and value are not one text.
    assert_ne!(seal("bc", "a")[10..43], seal("c", "ab")[10..43]);
}

#[test]
fn what_was_stored_in_the_clear_is_read_as_it_is() {
    for text in ["", CODE, "Your code: show 01AB-CDEF-GHJK-MNPQ when you arrive.", "sealed: no"] {
        assert_eq!(keys(&[OLD]).unseal(text, "ann").as_deref(), Ok(text));
        assert_eq!(SealingKeys::default().unseal(text, "ann").as_deref(), Ok(text));
    }
}

#[test]
fn values_are_unsealed_within_a_text() {
    let (old, new) = (sealed(OLD), sealed(NEW));
    let text = format!("Show {old}: it is yours, or {new}. {old}");
    let unsealed = keys(&[NEW, OLD]).unseal(&text, "ann");
    assert_eq!(unsealed, Ok(format!("Show {CODE}: it is yours, or {CODE}. {CODE}")));
    let korean = format!("도착하시면 {old}를 보여 주세요");
    assert_eq!(keys(&[OLD]).unseal(&korean, "ann"), Ok(format!("도착하시면 {CODE}를 보여 주세요")));
}

#[test]
fn a_file_has_a_key_a_line() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let path = folder.path().join("keys");
    let read = |text: &str| {
        fs::write(&path, text).expect("it is written");
        SealingKeys::read(&path).map_err(|error| error.to_string())
    };
    let (old, new) = (to_hex(&OLD), to_hex(&NEW).to_uppercase());
    let keys = read(&format!("# since July\r\n{new}\r\n\n  {old}")).expect("it has two keys");
    assert_eq!(keys.seal(CODE, "ann").expect("there is a key"), sealed(NEW));
    assert_eq!(keys.unseal(&sealed(OLD), "ann").as_deref(), Ok(CODE));
    for wrong in ["abc".to_owned(), format!("{old}00"), old.replace('0', "g")] {
        let error = read(&format!("{old}\n{wrong}")).expect_err("it is no key");
        assert!(error.contains("line 2") && error.contains("openssl rand -hex 32"), "{error}");
        assert!(!error.contains(&old) && !error.contains(&wrong), "a key is not shown: {error}");
    }
    assert!(read("# none\n").expect_err("it has no key").contains("has no sealing key"));
    fs::remove_file(&path).expect("it is removed");
    assert!(SealingKeys::read(&path).is_err());
}

#[test]
fn a_key_is_created_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let path = folder.path().join("keys");
    let created = SealingKeys::read_or_create(&path).expect("it is created");
    let again = SealingKeys::read_or_create(&path).expect("it is read");
    let sealed = created.seal(CODE, "ann").expect("there is a key");
    assert_eq!(again.unseal(&sealed, "ann").as_deref(), Ok(CODE));
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    }
    assert!(!format!("{created:?}").contains(fs::read_to_string(&path).expect("it is there").trim()));
}
