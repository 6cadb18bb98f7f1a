//! A region's routes and interfaces, found by what they serve.

use super::{Egress, walk::Walk};
use crate::{
    estate::{Instance, Interface, Region, RouteTable, Subnet, Target},
    hashed::HashMap,
    id::{InterfaceId, SubnetId, VpcId},
    settings::Settings,
};

/// The ways out of a region. Made once, it tells the egress of each subnet without going through the
/// others.
pub struct Ways<'a> {
    pub(super) region: &'a Region,
    own_tables: HashMap<&'a SubnetId, Vec<&'a RouteTable>>,
    main_tables: HashMap<&'a VpcId, Vec<&'a RouteTable>>,
    /// Of instances, where a route leads to an interface at all.
    owners: HashMap<&'a InterfaceId, &'a Instance>,
}

impl<'a> Ways<'a> {
    /// The ways out of `region`.
    pub fn new(region: &'a Region) -> Self {
        let mut own_tables: HashMap<_, Vec<_>> = HashMap::default();
        let mut main_tables: HashMap<_, Vec<_>> = HashMap::default();
        for table in region.route_tables.values() {
            for subnet in &table.subnets {
                own_tables.entry(subnet).or_default().push(table);
            }
            if table.main {
                main_tables.entry(&table.vpc).or_default().push(table);
            }
        }
        let mut routes = region.route_tables.values().flat_map(|it| &it.routes);
        let any_interface = routes.any(|route| matches!(route.target, Target::Interface(_)));
        let instances = region.instances.values().filter(|_| any_interface);
        let owners = instances.flat_map(|it| it.interfaces.iter().map(move |arm| (&arm.id, it)));
        Self {
            region,
            own_tables,
            main_tables,
            owners: owners.collect(),
        }
    }

    /// Where traffic of a subnet leaves.
    pub fn of_subnet(&self, id: &SubnetId, settings: &Settings) -> Egress {
        Walk::of_subnet(self, id, settings)
    }

    /// The route tables that serve `subnet`: its own, or else the main one of its VPC. While one
    /// takes another's place both name the subnet, and either may carry its traffic.
    pub(super) fn tables_of(&self, subnet: &Subnet) -> &[&'a RouteTable] {
        let own = self.own_tables.get(&subnet.id);
        let tables = own.or_else(|| self.main_tables.get(&subnet.vpc));
        tables.map_or(&[], Vec::as_slice)
    }

    /// All interfaces of the instance that has `id`, or that interface alone.
    pub(super) fn arms(&self, id: &InterfaceId) -> Vec<&'a Interface> {
        match self.owners.get(id) {
            Some(owner) => owner.interfaces.iter().collect(),
            None => self.region.interfaces.get(id).into_iter().collect(),
        }
    }
}
