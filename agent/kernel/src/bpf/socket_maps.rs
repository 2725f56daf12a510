//! What sockets and clients left in the maps: read whole, and removed where nobody can need it any more.

use std::collections::HashSet;

use aya::maps::MapError;
use ferrule_common::service::{ANSWER, Affinity, AffinityKey, Backend, CONNECTED, PLACES, Socket, SocketKey};
use ferrule_model::service::{self, Frontend};

use super::{
    ServiceMaps,
    absent::absent_is_fine,
    service_maps::{frontend, model_backend, read},
};

/// What `fr_svc_socks`, `fr_svc_tcp` and `fr_affinity` held at one moment.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// What sockets of UDP asked for.
    pub sockets: Vec<(SocketKey, Socket)>,
    /// What sockets of TCP asked for.
    pub streams: Vec<(SocketKey, Socket)>,
    /// Which backends clients have.
    pub clients: Vec<(AffinityKey, Affinity)>,
}

/// Of all entries those of sockets that are connected to a Service.
pub fn connected(sockets: &[(SocketKey, Socket)]) -> impl Iterator<Item = ([u32; 2], Frontend, service::Backend)> {
    let connected = sockets.iter().filter(|(key, _)| key.place == CONNECTED);
    connected
        .filter_map(|(key, socket)| Some((key.cookie, frontend(&socket.frontend)?, model_backend(&socket.backend))))
}

impl ServiceMaps {
    /// All of it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn held(&self) -> Result<Held, MapError> {
        Ok(Held {
            sockets: read(&self.all.sockets, &self.sockets)?,
            streams: read(&self.all.streams, &self.streams)?,
            clients: read(&self.all.clients, &self.clients)?,
        })
    }

    /// UDP sockets that are connected to a Service: their cookies, to what, and who answers.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connected(&self) -> Result<Vec<([u32; 2], Frontend, service::Backend)>, MapError> {
        Ok(connected(&read(&self.all.sockets, &self.sockets)?).collect())
    }

    /// Removes answers of UDP sockets that no place of their socket names any more: two threads that sent at once may leave
    /// one. How many.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tidy_sockets(&mut self, held: &Held) -> Result<usize, MapError> {
        let (answers, places): (Vec<_>, Vec<_>) = held.sockets.iter().partition(|(key, _)| key.place == ANSWER);
        let named: HashSet<_> = places.iter().map(|(key, socket)| (key.cookie, socket.backend)).collect();
        let mut removed = 0;
        for (key, _) in answers.iter().filter(|(key, _)| !named.contains(&(key.cookie, key.backend))) {
            // A place is written before its answer: one that came while the map was read is there by now.
            if !self.is_named(key)? {
                absent_is_fine(self.sockets.remove(key))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether a place of the socket names an answer's backend.
    fn is_named(&self, answer: &SocketKey) -> Result<bool, MapError> {
        for place in 1..=PLACES {
            let key = SocketKey { cookie: answer.cookie, backend: Backend::NONE, place };
            match self.sockets.get(&key, 0) {
                Ok(socket) if socket.backend == answer.backend => return Ok(true),
                Ok(_) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Removes entries of TCP sockets that have gone without a word.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_streams<'a>(&mut self, gone: impl IntoIterator<Item = &'a SocketKey>) -> Result<(), MapError> {
        gone.into_iter().try_for_each(|key| absent_is_fine(self.streams.remove(key)))
    }

    /// Removes clients that keep their backend no longer, by what they were seen with: one that came back stays.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_clients<'a>(
        &mut self,
        gone: impl IntoIterator<Item = &'a (AffinityKey, Affinity)>,
    ) -> Result<(), MapError> {
        for (key, last) in gone {
            match self.clients.get(key, 0) {
                Ok(now) if now.seen == last.seen => absent_is_fine(self.clients.remove(key))?,
                Ok(_) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Forgets every socket: before programs are attached, where none were. Sockets that were closed meanwhile told nobody.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_sockets(&mut self) -> Result<(), MapError> {
        let Held { sockets, streams, .. } = self.held()?;
        sockets.iter().try_for_each(|(key, _)| absent_is_fine(self.sockets.remove(key)))?;
        self.forget_streams(streams.iter().map(|(key, _)| key))
    }
}
