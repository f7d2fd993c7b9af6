// Calls cardproof: two verifications, one card, and two errors with their details.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	bankcard "example.com/cardproof-client/gen/bankcard/v1"
)

const deadline = 5 * time.Second

var traceID = randomHex(16)

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	rand.Read(random) // never fails; the program ends if the system has no randomness
	return hex.EncodeToString(random)
}

// newRequestID makes a UUID of version 4.
func newRequestID() string {
	random := make([]byte, 16)
	rand.Read(random)
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", random[:4], random[4:6], random[6:8], random[8:10], random[10:])
}

// callContext has a deadline, and a span of its own below this program's trace (W3C trace context).
func callContext() (context.Context, context.CancelFunc) {
	parent := fmt.Sprintf("00-%s-%s-01", traceID, randomHex(8))
	traced := metadata.AppendToOutgoingContext(context.Background(), "traceparent", parent)
	return context.WithTimeout(traced, deadline)
}

func verify(client bankcard.BankCardServiceClient, label string, request *bankcard.VerifyBankCardRequest) {
	// one id for one question: a retry of the channel sends the same message, so the same id
	request.RequestId = newRequestID()
	ctx, cancel := callContext()
	defer cancel()
	answer, err := client.VerifyBankCard(ctx, request)
	if err != nil {
		printError(label, err)
		return
	}
	fmt.Printf("%s: %s, %s, %s, %s\n", label, answer.Verdict, answer.Result, answer.Factors, answer.Charge)
}

func query(client bankcard.BankCardServiceClient, label, card string) {
	ctx, cancel := callContext()
	defer cancel()
	answer, err := client.QueryCardInfo(ctx, &bankcard.QueryCardInfoRequest{BankCard: card, RequestId: newRequestID()})
	if err != nil {
		printError(label, err)
		return
	}
	fmt.Printf("%s: %s, %s (%s), %s, %s\n", label, answer.Result, answer.BankName, answer.BankCode, answer.CardType, answer.Network)
}

func printError(label string, err error) {
	failure := status.Convert(err)
	fmt.Printf("%s: %s\n", label, codeName(failure))
	details := failure.Details()
	for _, detail := range details {
		if reason, ok := detail.(*errdetails.ErrorInfo); ok {
			fmt.Printf("  reason %s of %s\n", reason.Reason, reason.Domain)
			names := make([]string, 0, len(reason.Metadata))
			for name := range reason.Metadata {
				names = append(names, name)
			}
			sort.Strings(names)
			for _, name := range names {
				fmt.Printf("  %s: %s\n", name, reason.Metadata[name])
			}
		}
	}
	for _, detail := range details {
		switch detail := detail.(type) {
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				fmt.Printf("  field %s: %s, %s\n", violation.Field, violation.Reason, violation.Description)
			}
		case *errdetails.RetryInfo:
			fmt.Printf("  again after %d ms\n", detail.RetryDelay.AsDuration().Milliseconds())
		}
	}
}

// codeName turns Go's InvalidArgument into the INVALID_ARGUMENT of every other language.
func codeName(failure *status.Status) string {
	var name strings.Builder
	for index, letter := range failure.Code().String() {
		if index > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}

func main() {
	target := "localhost:50051"
	if len(os.Args) > 1 {
		target = os.Args[1]
	}
	serviceConfig, err := os.ReadFile("../service-config.json")
	if err != nil {
		log.Fatal(err)
	}
	connection, err := grpc.NewClient("dns:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(string(serviceConfig)))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	client := bankcard.NewBankCardServiceClient(connection)
	verify(client, "match", &bankcard.VerifyBankCardRequest{
		BankCard: "6200000100000012", Name: "张三", IdNumber: "11010519491231002X", Phone: "13800138000"})
	verify(client, "mismatch", &bankcard.VerifyBankCardRequest{BankCard: "6200000100000020", Name: "张三"})
	query(client, "card", "622202")
	verify(client, "bad request", &bankcard.VerifyBankCardRequest{BankCard: "1234", Name: "J0hn", Phone: "555-1234"})
	verify(client, "no vendor", &bankcard.VerifyBankCardRequest{BankCard: "6200000400000027", Name: "张三"})
}
