//! The code of a voucher in events: encrypted for its customer.

use chassis::sealing::SealingKeys;
use contracts::voucher::v1::{Voucher, VoucherIssued};
use prost::{Message as _, Name as _};

const CODE: &str = "01AB-CDEF-GHJK-MNPQ";

#[test]
fn x16_an_event_has_the_code_sealed_and_only_its_customer_is_shown_it() {
    let (keys, others) = (SealingKeys::given(&[[1; 32]]), SealingKeys::given(&[[2; 32]]));
    let voucher = Voucher { customer_id: "ann".to_owned(), code: CODE.to_owned(), ..Voucher::default() };
    let issued = VoucherIssued { voucher: Some(voucher.clone()) };
    let kind = VoucherIssued::full_name();
    let body = keys.seal_event(&kind, issued.encode_to_vec()).expect("there is a key");
    let stored = VoucherIssued::decode(&*body).expect("it is the event");
    let sealed = stored.voucher.as_ref().map(|voucher| voucher.code.clone()).unwrap_or_default();
    assert_eq!(Ok(sealed), keys.seal(CODE, "ann").map_err(|error| error.for_log().to_string()));
    assert_eq!(keys.show(stored.clone(), "ann"), issued);
    let hidden = Some(Voucher { code: String::new(), ..voucher });
    assert_eq!(keys.show(stored.clone(), "bob").voucher, hidden);
    assert_eq!(others.show(stored, "ann").voucher, hidden, "without its key nobody reads it");
    let none = SealingKeys::default();
    assert!(none.seal_event(&kind, issued.encode_to_vec()).is_err(), "it is not published in the clear");
    let other = vec![0xff];
    assert_eq!(none.seal_event("nadeuri.rental.v1.CarReserved", other.clone()).ok(), Some(other));
    // What was stored before there was sealing is in the clear.
    assert_eq!(none.show(issued.clone(), "ann"), issued);
}
