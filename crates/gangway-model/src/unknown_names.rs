//! Handshakes for names that no route names.

/// The treatment of handshakes for names that no route names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UnknownNames {
    /// They fail, so that nothing is learnt.
    #[default]
    Refuse,
    /// As Traefik does: they get the default certificate. The host of a request then says which route takes it.
    Answer,
}
