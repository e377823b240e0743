//! Sets of roles: those that a token claims and those that an RPC requires.

use std::fmt;

use contracts::Role;

/// A set of roles.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u32);

impl Roles {
    /// Every role of the contracts.
    pub fn all() -> Roles {
        known().collect()
    }

    /// The roles of these names, such as `customer`. Unknown names are ignored: an issuer may have other roles.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Roles {
        names.into_iter().filter_map(|wanted| known().find(|role| name(*role).eq_ignore_ascii_case(wanted))).collect()
    }

    /// Whether the role is among them. `ROLE_UNSPECIFIED` never is.
    pub fn contains(self, role: Role) -> bool {
        self.0 & bit(role) != 0
    }

    /// All others of the set.
    #[must_use]
    pub fn without(self, role: Role) -> Roles {
        Roles(self.0 & !bit(role))
    }

    /// Those of both sets.
    #[must_use]
    pub fn and(self, others: Roles) -> Roles {
        Roles(self.0 & others.0)
    }

    /// Their names, such as `customer`.
    pub fn names(self) -> impl Iterator<Item = String> {
        known().filter(move |role| self.contains(*role)).map(|role| name(role).to_lowercase())
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        Roles(roles.into_iter().fold(0, |bits, role| bits | bit(role)))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

fn known() -> impl Iterator<Item = Role> {
    (1..u32::BITS.cast_signed()).filter_map(|number| Role::try_from(number).ok())
}

fn name(role: Role) -> &'static str {
    role.as_str_name().trim_start_matches("ROLE_")
}

/// A bit for each role but `ROLE_UNSPECIFIED`, which is no role.
fn bit(role: Role) -> u32 {
    1_u32.checked_shl(role as u32).unwrap_or(0) & !1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unknown_roles_are_ignored() {
        let roles = Roles::named(["customer", "ADMIN", "emperor", "unspecified", ""]);
        assert_eq!(roles, [Role::Customer, Role::Admin].into_iter().collect());
        assert_eq!(roles.to_string(), "customer, admin");
    }

    #[test]
    fn unspecified_is_no_role() {
        assert!(!Roles::all().contains(Role::Unspecified));
        assert_eq!([Role::Unspecified].into_iter().collect::<Roles>(), Roles::default());
    }
}
