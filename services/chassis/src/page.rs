//! Pages of lists: `page_size` and `page_token` (AIP-158).
//!
//! A token contains the row after which the next page begins, and a fingerprint of the request: with another filter it
//! is refused, because the page would make no sense. It is no secret and grants no access.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::fields::Fields;
use crate::ids;

/// The default size of a page, in rows.
const DEFAULT_SIZE: i32 = 50;
/// The largest size of a page, in rows.
pub const MAX_SIZE: i32 = 1_000;

/// A request for a page. `K` is the key that orders the rows.
#[derive(Clone, Debug)]
pub struct Page<K> {
    /// The size, in rows.
    pub size: usize,
    /// The key after which it begins.
    pub after: Option<K>,
    filter: Uuid,
}

impl<K: FromStr + ToString> Page<K> {
    /// Parses `page_size` and `page_token`. `filter` is the rest of the request, as bytes that are distinct for each
    /// filter.
    pub fn parse(fields: &mut Fields, page_size: i32, page_token: &str, filter: &[&[u8]]) -> Option<Page<K>> {
        let filter = ids::hash(filter);
        let sizes = format!("must be 1 to {MAX_SIZE}, or 0 for {DEFAULT_SIZE}");
        let size = match page_size {
            0 => Ok(DEFAULT_SIZE),
            1..=MAX_SIZE => Ok(page_size),
            _ => Err(sizes),
        };
        let size = fields.take("page_size", size);
        let after = match page_token.split_once('.') {
            None if page_token.is_empty() => Ok(None),
            Some((asked, after)) if asked == short(filter) => K::from_str(after).map(Some).map_err(|_| ()),
            _ => Err(()),
        };
        let remedy = "must be a next_page_token of the same request, or empty for the first page";
        let after = fields.take("page_token", after.map_err(|()| remedy));
        Some(Page { size: size? as usize, after: after?, filter })
    }

    /// How many rows to read: one more than the page has shows whether another page follows.
    pub fn limit(&self) -> i64 {
        self.size as i64 + 1
    }

    /// Truncates the rows to the page, and makes the token of the next one.
    pub fn cut<T>(&self, rows: &mut Vec<T>, key: impl Fn(&T) -> K) -> String {
        if rows.len() <= self.size {
            return String::new();
        }
        rows.truncate(self.size);
        rows.last().map(|last| format!("{}.{}", short(self.filter), key(last).to_string())).unwrap_or_default()
    }
}

/// A position in the order by time, then by id: times can be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its time.
    pub at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.micros(), self.id.simple())
    }
}

impl FromStr for Cursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Cursor, ()> {
        let (at, id) = text.split_once('_').ok_or(())?;
        let at = Timestamp::from_micros(at.parse().map_err(drop)?);
        Ok(Cursor { at, id: Uuid::try_parse(id).map_err(drop)? })
    }
}

fn short(filter: Uuid) -> String {
    filter.simple().to_string()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_and_only_with_the_same_filter() {
        let mut fields = Fields::new();
        let page = Page::<i64>::parse(&mut fields, 2, "", &[b"blue"]).expect("it is right");
        let mut rows = vec![1, 2, 3];
        let token = page.cut(&mut rows, |row| *row);
        assert_eq!(rows, [1, 2]);
        let next = Page::<i64>::parse(&mut fields, 2, &token, &[b"blue"]).expect("it is right");
        assert_eq!(next.after, Some(2));
        assert!(Page::<i64>::parse(&mut fields, 2, &token, &[b"red"]).is_none());
        assert!(Page::<i64>::parse(&mut fields, -1, "", &[b"red"]).is_none());
        assert!(next.cut(&mut vec![3], |row| *row).is_empty());
    }
}
