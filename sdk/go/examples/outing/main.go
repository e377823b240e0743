// A day out: a car is reserved, paid, rented, returned and rated, and a taxi brings its driver home.
//
//	cargo run --release              # the server, in another terminal
//	go run ./examples/outing         # on http://127.0.0.1:50051, or on the address that NADEURI_SERVER names
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	nadeuri "example.com/nadeuri/sdk/go"
	chroniclev1 "example.com/nadeuri/sdk/go/nadeuri/chronicle/v1"
	dispatchv1 "example.com/nadeuri/sdk/go/nadeuri/dispatch/v1"
	drivingv1 "example.com/nadeuri/sdk/go/nadeuri/driving/v1"
	fleetv1 "example.com/nadeuri/sdk/go/nadeuri/fleet/v1"
	moneyv1 "example.com/nadeuri/sdk/go/nadeuri/money/v1"
	periodv1 "example.com/nadeuri/sdk/go/nadeuri/period/v1"
	placev1 "example.com/nadeuri/sdk/go/nadeuri/place/v1"
	rentalv1 "example.com/nadeuri/sdk/go/nadeuri/rental/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func main() {
	log.SetFlags(0)
	ctx := context.Background()
	reservation, err := rentACar(ctx)
	if err != nil {
		log.Fatal(err)
	}
	drive, err := takeATaxi(ctx)
	if err != nil {
		log.Fatal(err)
	}
	told, err := firstEventsOf(ctx, reservation.GetReservationId())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the chronicle:", strings.Join(told, ", "))
	isBack := reservation.GetState() == rentalv1.ReservationState_RESERVATION_STATE_RETURNED
	if !isBack || drive.GetFareState() != drivingv1.FareState_FARE_STATE_PAID {
		log.Fatal("the day went wrong")
	}
	fmt.Printf("done: the car is back with %d stars, and the taxi is paid\n", reservation.GetStars())
}

// as connects as somebody. The server trusts these names while auth is off; with auth on, use a token for each.
func as(user, role string) *grpc.ClientConn {
	server := os.Getenv("NADEURI_SERVER")
	if server == "" {
		server = "http://127.0.0.1:50051"
	}
	conn, err := nadeuri.Connect(server, nadeuri.Options{Headers: map[string]string{"x-user": user, "x-roles": role}})
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

// eventually looks again and again: what one context does reaches the others by events, a moment later.
func eventually[T any](look func() (*T, error)) (*T, error) {
	for range 200 {
		if found, err := look(); found != nil || err != nil {
			return found, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.New("it did not happen within ten seconds")
}

func rentACar(ctx context.Context) (*rentalv1.Reservation, error) {
	registered, err := fleetv1.NewFleetServiceClient(as("admin", "admin")).RegisterCar(ctx, &fleetv1.RegisterCarRequest{
		Car: &fleetv1.Car{
			Model:     "Hyundai Casper",
			Place:     &placev1.Place{Name: "Gimpo Airport"},
			DailyRate: &moneyv1.Money{CurrencyCode: "KRW", AmountMinor: 54_000},
		},
	})
	if err != nil {
		return nil, err
	}
	car := registered.GetCar()
	fmt.Println("the company has a", car.GetModel())

	now := time.Now()
	period := &periodv1.Period{
		StartTime: timestamppb.New(now), EndTime: timestamppb.New(now.Add(3 * 24 * time.Hour)),
	}
	mina := rentalv1.NewRentalServiceClient(as("mina", "customer"))
	reserved, err := eventually(func() (*rentalv1.ReserveCarResponse, error) {
		reserved, err := mina.ReserveCar(ctx, &rentalv1.ReserveCarRequest{CarId: car.GetCarId(), Period: period})
		if nadeuri.Reason(err) == "CAR_NOT_FOUND" {
			return nil, nil // rental has not heard of the new car yet
		}
		return reserved, err
	})
	if err != nil {
		return nil, err
	}
	reservation := reserved.GetReservation()
	fmt.Printf("mina reserves it for %d days: %d won\n", reservation.GetDays(), reservation.GetPrice().GetAmountMinor())

	jun := rentalv1.NewRentalServiceClient(as("jun", "customer"))
	_, err = jun.ReserveCar(ctx, &rentalv1.ReserveCarRequest{CarId: car.GetCarId(), Period: period})
	fmt.Println("jun is refused:", nadeuri.Reason(err))
	_, err = jun.ReserveCar(ctx, &rentalv1.ReserveCarRequest{CarId: "the red one"})
	var wrong *nadeuri.Error
	if errors.As(err, &wrong) {
		for _, violation := range wrong.Violations {
			fmt.Printf("jun is told what is wrong with %s\n", violation.Field)
		}
	}

	id := reservation.GetReservationId()
	pay := &rentalv1.RentCarRequest{ReservationId: id, PaymentMethod: "sandbox-approve"}
	if _, err = mina.RentCar(ctx, pay); err != nil {
		return nil, err
	}
	fmt.Println("mina pays and drives off")
	if _, err = mina.ReturnCar(ctx, &rentalv1.ReturnCarRequest{ReservationId: id}); err != nil {
		return nil, err
	}
	rated, err := mina.RateRental(ctx, &rentalv1.RateRentalRequest{ReservationId: id, Stars: 5})
	return rated.GetReservation(), err
}

func takeATaxi(ctx context.Context) (*drivingv1.Drive, error) {
	hailed, err := dispatchv1.NewDispatchServiceClient(as("mina", "customer")).HailTaxi(ctx, &dispatchv1.HailTaxiRequest{
		Pickup:        &placev1.Place{Name: "City Hall", Latitude: proto.Float64(37.5663), Longitude: proto.Float64(126.9779)},
		Destination:   &placev1.Place{Name: "Mapo"},
		PaymentMethod: "sandbox-approve",
	})
	if err != nil {
		return nil, err
	}
	fmt.Println("mina hails a taxi at", hailed.GetHail().GetPickup().GetName())

	kim := drivingv1.NewDrivingServiceClient(as("driver:kim", "driver"))
	near := &drivingv1.ListOffersRequest{Latitude: proto.Float64(37.5663), Longitude: proto.Float64(126.9779)}
	if _, err = kim.StartShift(ctx, &drivingv1.StartShiftRequest{}); err != nil {
		return nil, err
	}
	offered, err := eventually(func() (*drivingv1.Drive, error) {
		for offer, err := range nadeuri.Items(ctx, kim.ListOffers, near, (*drivingv1.ListOffersResponse).GetOffers) {
			if err != nil || offer.GetDrive().GetHailId() == hailed.GetHail().GetHailId() {
				return offer.GetDrive(), err
			}
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	id := offered.GetDriveId()
	if _, err = kim.AcceptDrive(ctx, &drivingv1.AcceptDriveRequest{DriveId: id}); err != nil {
		return nil, err
	}
	if _, err = kim.StartDrive(ctx, &drivingv1.StartDriveRequest{DriveId: id, StartCode: hailed.GetHail().GetStartCode()}); err != nil {
		return nil, err
	}
	finished, err := kim.FinishDrive(ctx, &drivingv1.FinishDriveRequest{DriveId: id})
	if err != nil {
		return nil, err
	}
	fmt.Printf("kim brings her home for %d won\n", finished.GetDrive().GetFare().GetAmountMinor())
	return finished.GetDrive(), nil
}

// firstEventsOf is what the company heard of a flow, as it would be followed live.
func firstEventsOf(ctx context.Context, flowID string) ([]string, error) {
	var seen []string
	from := &chroniclev1.WatchEventsRequest{AfterPosition: proto.Int64(0)}
	for event, err := range nadeuri.Watch(ctx, as("admin", "admin"), from) {
		if err != nil {
			return nil, err
		}
		if event.GetFlowId() != flowID {
			continue
		}
		name := event.GetType()[strings.LastIndex(event.GetType(), ".")+1:]
		seen = append(seen, name)
		if name == "RentalRated" {
			break
		}
	}
	return seen, nil
}
