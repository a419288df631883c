//! The programs, loaded, and their tables, each to be taken once. What they do is in bpf/.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{Map, MapData, PerCpuArray, XskMap};
use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader, Pod};

use super::Form;
use super::tables::{self, Cell, Table};
use crate::bpf::cause;
use crate::{Error, xdp};

const STEER: &str = "vsw_steer";
const STEER_L3: &str = "vsw_steer_l3";
const CATCH: &str = "vsw_catch";
const DEPART: &str = "vsw_depart";

/// What a loaded program is to us, by the name that the kernel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Steer,
    Depart,
}

impl Role {
    pub(super) fn of(name: &str) -> Option<Role> {
        match name {
            STEER | STEER_L3 => Some(Role::Steer),
            DEPART => Some(Role::Depart),
            _ => None,
        }
    }
}

/// The kernel holds what is attached also without this.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) steer: OwnedFd,
    /// For interfaces whose packets have no link-layer header.
    pub(super) steer_l3: OwnedFd,
    pub(super) depart: OwnedFd,
    /// The XDP form's, if that is asked for, or why there is none.
    pub(super) catch: Option<io::Result<OwnedFd>>,
    objects: [Ebpf; 2],
}

impl Programs {
    /// Loads them for `link`, with room for so many inherited mappings. Where the kernel has not what the XDP form needs,
    /// the others are loaded nevertheless.
    pub(super) fn load(link: &str, inherited: usize, form: Form) -> Result<Programs, Error> {
        let failed = |error: EbpfError| Error::UplinkProgram { link: link.to_owned(), source: cause(error) };
        let room = u32::try_from(inherited).unwrap_or(u32::MAX).max(1);
        let caught = (form == Form::Xdp).then(|| load_catch(room));
        let (mut steer, catch) = match caught {
            Some(Ok((object, program))) => (object, Some(Ok(program))),
            Some(Err(error)) => (load_object(STEER_OBJECT, room).map_err(failed)?, Some(Err(cause(error)))),
            None => (load_object(STEER_OBJECT, room).map_err(failed)?, None),
        };
        let mut depart = load_object(DEPART_OBJECT, room).map_err(failed)?;
        Ok(Programs {
            steer: load(&mut steer, STEER).map_err(failed)?,
            steer_l3: load(&mut steer, STEER_L3).map_err(failed)?,
            depart: load(&mut depart, DEPART).map_err(failed)?,
            catch,
            objects: [steer, depart],
        })
    }

    pub(super) fn table<K: Pod, V: Pod>(&mut self, name: &'static str) -> Result<Table<K, V>, Error> {
        Table::new(name, self.take(name)?)
    }

    pub(super) fn cell<V: Pod>(&mut self, name: &'static str) -> Result<Cell<V>, Error> {
        Cell::new(name, self.take(name)?)
    }

    pub(super) fn counters(&mut self, name: &'static str) -> Result<PerCpuArray<MapData, u64>, Error> {
        PerCpuArray::try_from(self.take(name)?).map_err(tables::failed(name))
    }

    pub(super) fn sockets(&mut self, name: &'static str) -> Result<XskMap<MapData>, Error> {
        XskMap::try_from(self.take(name)?).map_err(tables::failed(name))
    }

    fn take(&mut self, name: &'static str) -> Result<Map, Error> {
        let found = self.objects.iter_mut().find_map(|object| object.take_map(name));
        found.ok_or_else(|| Error::UplinkTable { table: name, source: io::ErrorKind::NotFound.into() })
    }
}

static STEER_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steer.o"));
static CATCH_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/catch.o"));
static DEPART_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/depart.o"));

fn load_object(object: &[u8], inherited: u32) -> Result<Ebpf, EbpfError> {
    EbpfLoader::new()
        // Nothing here depends on the layout of the kernel's own structures.
        .btf(None)
        .map_max_entries(tables::INHERITED, inherited)
        .load(object)
}

fn load_catch(inherited: u32) -> Result<(Ebpf, OwnedFd), EbpfError> {
    let mut object = load_object(CATCH_OBJECT, inherited)?;
    let program = xdp::load(&mut object, CATCH)?;
    Ok((object, program))
}

fn load(object: &mut Ebpf, name: &str) -> Result<OwnedFd, EbpfError> {
    let program = object.program_mut(name).ok_or(ProgramError::InvalidName { name: name.to_owned() })?;
    let program: &mut SchedClassifier = program.try_into()?;
    program.load()?;
    let fd = program.fd()?.as_fd().try_clone_to_owned();
    fd.map_err(|error| ProgramError::IOError(error).into())
}
