//! Reads: what the store has is read here, and given to the machine with the question; but not before there is room for it.

use bytes::Bytes;
use catena_core::{Event, Target};
use catena_net::server::Caller;
use catena_store::{Lookup, Reader};

use super::Driver;
use crate::node::NodeError;
use crate::node::metrics::Asked;

impl<R: Reader> Driver<R> {
    pub(super) fn on_read(&mut self, target: Target, key: Bytes, reply: Caller) -> Result<(), NodeError> {
        let Some(mut reply) = self.admit_key(Asked::Read, &key, reply) else { return Ok(()) };
        let mut no_room = None;
        let stored = self.storage.reader.get_if(target.slot, &key, &mut |bytes| {
            no_room = reply.make_room(bytes).err();
            no_room.is_none()
        });
        if let Some(no_room) = no_room {
            self.calls.no_room(Asked::Read, reply, no_room, self.now);
            return Ok(());
        }
        let request = self.calls.take_up(Asked::Read, reply, self.now);
        match stored {
            Ok(Lookup::Found(stored)) => self.step(Event::Read { request, target, key, stored }),
            Ok(Lookup::Unwanted) => unreachable!("there is room for it"),
            Err(error) => self.on_unreadable(target.slot, Some(request), error)?,
        }
        Ok(())
    }

    pub(super) fn on_scan(&mut self, target: Target, after: Option<Bytes>, bytes: usize, reply: Caller) -> Result<(), NodeError> {
        let admitted = match &after {
            Some(after) => self.admit_key(Asked::Scan, after, reply),
            None => Some(reply),
        };
        let Some(mut reply) = admitted else { return Ok(()) };
        // A page may be larger than that, if it has a single object.
        let stored = reply.make_room(bytes).map(|()| self.storage.reader.page(target.slot, after.as_deref(), bytes));
        let room = stored.and_then(|stored| {
            stored.as_ref().map_or(Ok(()), |page| reply.make_room_for_page(page))?;
            Ok(stored)
        });
        let stored = match room {
            Ok(stored) => stored,
            Err(no_room) => {
                self.calls.no_room(Asked::Scan, reply, no_room, self.now);
                return Ok(());
            }
        };
        let request = self.calls.take_up(Asked::Scan, reply, self.now);
        match stored {
            Ok(stored) => self.step(Event::Scan { request, target, after, bytes, stored }),
            Err(error) => self.on_unreadable(target.slot, Some(request), error)?,
        }
        Ok(())
    }
}
