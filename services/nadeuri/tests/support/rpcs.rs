//! Every RPC that the tests call, by its request.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fmt::Debug;

use chassis::peer::Transport;
use contracts::bike::v1::bike_service_client::BikeServiceClient;
use contracts::billing::v1::billing_service_client::BillingServiceClient;
use contracts::chronicle::v1::chronicle_service_client::ChronicleServiceClient;
use contracts::delivery::v1::delivery_service_client::DeliveryServiceClient;
use contracts::dispatch::v1::dispatch_service_client::DispatchServiceClient;
use contracts::driving::v1::driving_service_client::DrivingServiceClient;
use contracts::fleet::v1::fleet_service_client::FleetServiceClient;
use contracts::mypage::v1::mypage_service_client::MypageServiceClient;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use contracts::product::v1::product_service_client::ProductServiceClient;
use contracts::rental::v1::rental_service_client::RentalServiceClient;
use contracts::resort::v1::resort_service_client::ResortServiceClient;
use contracts::ride::v1::ride_service_client::RideServiceClient;
use contracts::stay::v1::stay_service_client::StayServiceClient;
use contracts::upkeep::v1::upkeep_service_client::UpkeepServiceClient;
use contracts::voucher::v1::voucher_service_client::VoucherServiceClient;
use contracts::wallet::v1::wallet_service_client::WalletServiceClient;
use contracts::{
    bike, billing, chronicle, delivery, dispatch, driving, fleet, mypage, notification, order, payment, product,
    rental, resort, ride, stay, upkeep, voucher, wallet,
};
use futures::future::BoxFuture;
use prost::{Message, Name};
use tonic::{Request, Response, Status};

/// A request, which knows where it is sent to.
pub trait Rpc: Message + Name + Clone + Debug + 'static {
    /// The context that answers it.
    const CONTEXT: &'static str;
    /// What it is answered with.
    type Answer: Message + Default + PartialEq + Debug;
    /// Sends it.
    fn send(request: Request<Self>, way: Transport) -> BoxFuture<'static, Result<Response<Self::Answer>, Status>>;
}

/// A request that changes something, and can be repeated.
pub trait Change: Rpc {
    /// Gives it a request id.
    fn identify(&mut self, request_id: &str);
}

macro_rules! rpcs {
    ($context:ident $client:ident:
        reads { $($read:ident $read_request:ident $read_answer:ident,)* }
        changes { $($change:ident $change_request:ident $change_answer:ident,)* }
    ) => {
        $(rpcs!(@rpc $context $client $read $read_request $read_answer);)*
        $(rpcs!(@rpc $context $client $change $change_request $change_answer);
        impl Change for $context::v1::$change_request {
            fn identify(&mut self, request_id: &str) {
                request_id.clone_into(&mut self.request_id);
            }
        })*
    };
    (@rpc $context:ident $client:ident $method:ident $request:ident $answer:ident) => {
        impl Rpc for $context::v1::$request {
            const CONTEXT: &'static str = stringify!($context);
            type Answer = $context::v1::$answer;
            fn send(
                request: Request<Self>,
                way: Transport,
            ) -> BoxFuture<'static, Result<Response<Self::Answer>, Status>> {
                Box::pin(async move { $client::new(way).$method(request).await })
            }
        }
    };
}

rpcs! { fleet FleetServiceClient:
    reads {
        get_car GetCarRequest GetCarResponse,
        list_cars ListCarsRequest ListCarsResponse,
    }
    changes {
        register_car RegisterCarRequest RegisterCarResponse,
        remove_car RemoveCarRequest RemoveCarResponse,
    }
}
rpcs! { rental RentalServiceClient:
    reads {
        get_reservation GetReservationRequest GetReservationResponse,
        list_reservations ListReservationsRequest ListReservationsResponse,
    }
    changes {
        reserve_car ReserveCarRequest ReserveCarResponse,
        cancel_reservation CancelReservationRequest CancelReservationResponse,
        rent_car RentCarRequest RentCarResponse,
        return_car ReturnCarRequest ReturnCarResponse,
        rate_rental RateRentalRequest RateRentalResponse,
        retire_car RetireCarRequest RetireCarResponse,
    }
}
rpcs! { dispatch DispatchServiceClient:
    reads {
        get_hail GetHailRequest GetHailResponse,
        list_hails ListHailsRequest ListHailsResponse,
    }
    changes {
        hail_taxi HailTaxiRequest HailTaxiResponse,
        cancel_hail CancelHailRequest CancelHailResponse,
    }
}
rpcs! { driving DrivingServiceClient:
    reads {
        list_offers ListOffersRequest ListOffersResponse,
        get_drive GetDriveRequest GetDriveResponse,
        list_drives ListDrivesRequest ListDrivesResponse,
    }
    changes {
        accept_drive AcceptDriveRequest AcceptDriveResponse,
        decline_drive DeclineDriveRequest DeclineDriveResponse,
        start_drive StartDriveRequest StartDriveResponse,
        finish_drive FinishDriveRequest FinishDriveResponse,
        collect_fare CollectFareRequest CollectFareResponse,
    }
}
rpcs! { resort ResortServiceClient:
    reads {
        get_resort GetResortRequest GetResortResponse,
        list_resorts ListResortsRequest ListResortsResponse,
    }
    changes {
        register_resort RegisterResortRequest RegisterResortResponse,
        offer_dates OfferDatesRequest OfferDatesResponse,
        hold_dates HoldDatesRequest HoldDatesResponse,
    }
}
rpcs! { stay StayServiceClient:
    reads {
        get_stay GetStayRequest GetStayResponse,
        list_stays ListStaysRequest ListStaysResponse,
    }
    changes {
        reserve_stay ReserveStayRequest ReserveStayResponse,
        cancel_stay CancelStayRequest CancelStayResponse,
    }
}
rpcs! { voucher VoucherServiceClient:
    reads {
        get_voucher GetVoucherRequest GetVoucherResponse,
        list_vouchers ListVouchersRequest ListVouchersResponse,
    }
    changes {
        redeem_voucher RedeemVoucherRequest RedeemVoucherResponse,
    }
}
rpcs! { bike BikeServiceClient:
    reads {
        get_bike GetBikeRequest GetBikeResponse,
        list_bikes ListBikesRequest ListBikesResponse,
        search_bikes SearchBikesRequest SearchBikesResponse,
    }
    changes {
        register_bike RegisterBikeRequest RegisterBikeResponse,
        remove_bike RemoveBikeRequest RemoveBikeResponse,
        take_bike TakeBikeRequest TakeBikeResponse,
        inspect_bike InspectBikeRequest InspectBikeResponse,
    }
}
rpcs! { ride RideServiceClient:
    reads {
        get_ride GetRideRequest GetRideResponse,
        list_rides ListRidesRequest ListRidesResponse,
    }
    changes {
        rent_bike RentBikeRequest RentBikeResponse,
        return_bike ReturnBikeRequest ReturnBikeResponse,
    }
}
rpcs! { billing BillingServiceClient:
    reads {
        get_bill GetBillRequest GetBillResponse,
        list_bills ListBillsRequest ListBillsResponse,
    }
    changes {}
}
rpcs! { product ProductServiceClient:
    reads {
        get_product GetProductRequest GetProductResponse,
        list_products ListProductsRequest ListProductsResponse,
    }
    changes {
        create_product CreateProductRequest CreateProductResponse,
        reprice_product RepriceProductRequest RepriceProductResponse,
        add_stock AddStockRequest AddStockResponse,
    }
}
rpcs! { order OrderServiceClient:
    reads {
        get_order GetOrderRequest GetOrderResponse,
        list_orders ListOrdersRequest ListOrdersResponse,
    }
    changes {
        create_order CreateOrderRequest CreateOrderResponse,
        cancel_order CancelOrderRequest CancelOrderResponse,
    }
}
rpcs! { delivery DeliveryServiceClient:
    reads {
        get_delivery GetDeliveryRequest GetDeliveryResponse,
        list_deliveries ListDeliveriesRequest ListDeliveriesResponse,
    }
    changes {
        start_delivery StartDeliveryRequest StartDeliveryResponse,
        complete_delivery CompleteDeliveryRequest CompleteDeliveryResponse,
    }
}
rpcs! { payment PaymentServiceClient:
    reads {
        get_payment GetPaymentRequest GetPaymentResponse,
        list_payments ListPaymentsRequest ListPaymentsResponse,
    }
    changes {
        charge_payment ChargePaymentRequest ChargePaymentResponse,
        collect_payment CollectPaymentRequest CollectPaymentResponse,
        cancel_payment CancelPaymentRequest CancelPaymentResponse,
    }
}
rpcs! { wallet WalletServiceClient:
    reads {
        get_wallet GetWalletRequest GetWalletResponse,
        list_entries ListEntriesRequest ListEntriesResponse,
        check_ledger CheckLedgerRequest CheckLedgerResponse,
    }
    changes {
        top_up TopUpRequest TopUpResponse,
        convert_points ConvertPointsRequest ConvertPointsResponse,
    }
}
rpcs! { upkeep UpkeepServiceClient:
    reads {
        list_reports ListReportsRequest ListReportsResponse,
        get_manager GetManagerRequest GetManagerResponse,
    }
    changes {
        report_bike ReportBikeRequest ReportBikeResponse,
    }
}
rpcs! { notification NotificationServiceClient:
    reads {
        list_messages ListMessagesRequest ListMessagesResponse,
    }
    changes {}
}
rpcs! { mypage MypageServiceClient:
    reads {
        get_car_rental GetCarRentalRequest GetCarRentalResponse,
        list_car_rentals ListCarRentalsRequest ListCarRentalsResponse,
        get_stay GetStayRequest GetStayResponse,
        list_stays ListStaysRequest ListStaysResponse,
        get_order GetOrderRequest GetOrderResponse,
        list_orders ListOrdersRequest ListOrdersResponse,
        get_taxi_ride GetTaxiRideRequest GetTaxiRideResponse,
        list_taxi_rides ListTaxiRidesRequest ListTaxiRidesResponse,
        get_bike_ride GetBikeRideRequest GetBikeRideResponse,
        list_bike_rides ListBikeRidesRequest ListBikeRidesResponse,
    }
    changes {}
}
rpcs! { chronicle ChronicleServiceClient:
    reads {
        get_flow GetFlowRequest GetFlowResponse,
        list_events ListEventsRequest ListEventsResponse,
    }
    changes {}
}
