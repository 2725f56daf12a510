//! Values by small numbers, which are used again at once.

/// Values by number.
#[derive(Debug)]
pub(super) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    #[expect(clippy::cast_possible_truncation, reason = "memory ends long before 2^32 values")]
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.values[id as usize] = Some(value);
            return id;
        }
        self.values.push(Some(value));
        self.values.len() as u32 - 1
    }

    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.values.get(id as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.values.get_mut(id as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, id: u32) {
        if self.values.get_mut(id as usize).and_then(Option::take).is_some() {
            self.free.push(id);
        }
    }
}
