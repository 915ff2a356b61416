use std::sync::{Mutex, OnceLock, PoisonError};

/// The forms of one thing that were asked for, each made once: a list that only grows. Those who ask nearly all want the
/// same one or two, so the one asked for is found at once, without a lock. What the forms of the thing before were made in
/// serves again.
#[derive(Debug)]
pub struct Forms<K, F> {
    list: List<K, F>,
    spare: Mutex<Vec<Box<Form<K, F>>>>,
}

type List<K, F> = OnceLock<Box<Form<K, F>>>;

#[derive(Debug)]
struct Form<K, F> {
    key: K,
    form: F,
    next: List<K, F>,
}

impl<K, F> Default for Forms<K, F> {
    fn default() -> Self {
        Self { list: OnceLock::new(), spare: Mutex::default() }
    }
}

impl<K: Copy + PartialEq, F: Default> Forms<K, F> {
    /// The form called `key`. If there is none yet, `make` makes it in what another was made in before, or in an empty one.
    pub fn form(&self, key: K, make: impl Fn(&mut F)) -> &F {
        let mut list = &self.list;
        loop {
            let form = list.get_or_init(|| {
                let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut form =
                    spare.unwrap_or_else(|| Box::new(Form { key, form: F::default(), next: OnceLock::new() }));
                form.key = key;
                make(&mut form.form);
                form
            });
            if form.key == key {
                return &form.form;
            }
            list = &form.next;
        }
    }

    /// The thing is another now. Forms that nobody asked for since the last time are let go of.
    pub fn begin_anew(&mut self) {
        let spare = self.spare.get_mut().unwrap_or_else(PoisonError::into_inner);
        spare.clear();
        let mut next = self.list.take();
        while let Some(mut form) = next {
            next = form.next.take();
            spare.push(form);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_made_once_and_its_memory_serves_again() {
        let mut forms = Forms::<u8, Vec<u8>>::default();
        let make = |length: usize| move |form: &mut Vec<u8>| form.resize(length, 7);
        let first = forms.form(1, make(100)).as_ptr();
        assert_eq!(forms.form(1, |_| panic!("there already")).as_ptr(), first);
        assert_eq!(forms.form(2, make(50)).len(), 50);
        forms.begin_anew();
        let addresses = [forms.form(9, make(40)).as_ptr(), forms.form(1, make(40)).as_ptr()];
        assert!(addresses.contains(&first), "made in the memory of before");
        forms.begin_anew();
        forms.form(9, make(40));
        forms.begin_anew();
        assert_eq!(forms.spare.lock().unwrap().len(), 1, "one was asked for");
    }
}
