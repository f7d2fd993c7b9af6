// A server that does nothing, in Go: it reads the request and gives the answer it was started with.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	v1 "example.com/cardproof-echo/gen/bankcard/v1"
)

type echo struct {
	v1.UnimplementedBankCardServiceServer
	verification v1.VerifyBankCardResponse
	cardInfo     v1.QueryCardInfoResponse
}

func (e *echo) VerifyBankCard(context.Context, *v1.VerifyBankCardRequest) (*v1.VerifyBankCardResponse, error) {
	return &e.verification, nil
}

func (e *echo) QueryCardInfo(context.Context, *v1.QueryCardInfoRequest) (*v1.QueryCardInfoResponse, error) {
	return &e.cardInfo, nil
}

func read(folder, name string, into proto.Message) {
	raw, err := os.ReadFile(filepath.Join(folder, name))
	if err == nil {
		err = proto.Unmarshal(raw, into)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:50052", "where to listen")
	answers := flag.String("answers", ".", "the folder with the answers")
	flag.Parse()
	service := &echo{}
	read(*answers, "verify.answer", &service.verification)
	read(*answers, "card-info.answer", &service.cardInfo)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	v1.RegisterBankCardServiceServer(server, service)
	log.Fatal(server.Serve(listener))
}
