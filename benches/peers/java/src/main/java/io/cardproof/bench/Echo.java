package io.cardproof.bench;

import io.cardproof.bankcard.v1.BankCardServiceGrpc;
import io.cardproof.bankcard.v1.QueryCardInfoRequest;
import io.cardproof.bankcard.v1.QueryCardInfoResponse;
import io.cardproof.bankcard.v1.VerifyBankCardRequest;
import io.cardproof.bankcard.v1.VerifyBankCardResponse;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;

/** A server that does nothing, in Java: it reads the request and gives the answer it was started with. */
public final class Echo extends BankCardServiceGrpc.BankCardServiceImplBase {
  private final VerifyBankCardResponse verification;
  private final QueryCardInfoResponse cardInfo;

  private Echo(Path answers) throws Exception {
    verification = VerifyBankCardResponse.parseFrom(Files.readAllBytes(answers.resolve("verify.answer")));
    cardInfo = QueryCardInfoResponse.parseFrom(Files.readAllBytes(answers.resolve("card-info.answer")));
  }

  @Override
  public void verifyBankCard(VerifyBankCardRequest request, StreamObserver<VerifyBankCardResponse> caller) {
    caller.onNext(verification);
    caller.onCompleted();
  }

  @Override
  public void queryCardInfo(QueryCardInfoRequest request, StreamObserver<QueryCardInfoResponse> caller) {
    caller.onNext(cardInfo);
    caller.onCompleted();
  }

  /** Serves on the port given first, with the answers of the folder given second, until it is killed. */
  public static void main(String[] arguments) throws Exception {
    var address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
    NettyServerBuilder.forAddress(address)
        .directExecutor()
        .addService(new Echo(Path.of(arguments[1])))
        .build()
        .start()
        .awaitTermination();
  }
}
