use std::{cell::RefCell, collections::HashMap, net::IpAddr, rc::Rc};

/// How many connections there are, by address, from their being accepted to their end, whatever they turn out to be.
#[derive(Clone, Debug, Default)]
pub struct Census(Rc<RefCell<HashMap<IpAddr, usize>>>);

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Place {
    census: Census,
    address: IpAddr,
}

impl Census {
    /// None if there are as many as may be, in all or from this address.
    pub fn admit(&self, address: IpAddr, most: usize, most_per_address: usize) -> Option<Place> {
        let mut counts = self.0.borrow_mut();
        let same = counts.get(&address).copied().unwrap_or(0);
        if same >= most_per_address || counts.values().sum::<usize>() >= most {
            return None;
        }
        counts.insert(address, same + 1);
        Some(Place { census: self.clone(), address })
    }

    pub fn count(&self) -> usize {
        self.0.borrow().values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.census.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back() {
        let (census, [a, b]) = (Census::default(), ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap()));
        let admit = |address| census.admit(address, 3, 2);
        let (first, second, other) = (admit(a), admit(a), admit(b));
        assert!(first.is_some() && second.is_some() && other.is_some());
        assert!(admit(a).is_none() && admit(b).is_none());
        drop(other);
        assert!(admit(a).is_none() && admit(b).is_some());
        drop((first, second));
        assert_eq!(census.count(), 0);
    }
}
