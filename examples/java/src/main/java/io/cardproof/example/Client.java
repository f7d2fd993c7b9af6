package io.cardproof.example;

import com.google.gson.Gson;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.cardproof.bankcard.v1.BankCardServiceGrpc;
import io.cardproof.bankcard.v1.BankCardServiceGrpc.BankCardServiceBlockingStub;
import io.cardproof.bankcard.v1.QueryCardInfoRequest;
import io.cardproof.bankcard.v1.VerifyBankCardRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** Calls cardproof: two verifications, one card, and two errors with their details. */
public final class Client {
  private static final long DEADLINE_S = 5;
  private static final Metadata.Key<String> TRACEPARENT =
      Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER);
  private static final SecureRandom RANDOM = new SecureRandom();
  private static final String TRACE_ID = randomHex(16);
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private final BankCardServiceBlockingStub stub;

  private Client(ManagedChannel channel) {
    stub = BankCardServiceGrpc.newBlockingStub(channel);
  }

  private static String randomHex(int bytes) {
    byte[] random = new byte[bytes];
    RANDOM.nextBytes(random);
    return HexFormat.of().formatHex(random);
  }

  /** A deadline, and a span of its own below this program's trace (W3C trace context). */
  private BankCardServiceBlockingStub call() {
    Metadata headers = new Metadata();
    headers.put(TRACEPARENT, "00-" + TRACE_ID + "-" + randomHex(8) + "-01");
    return stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .withDeadlineAfter(DEADLINE_S, TimeUnit.SECONDS);
  }

  private void verify(String label, VerifyBankCardRequest.Builder question) {
    // one id for one question: a retry of the channel sends the same message, so the same id
    var request = question.setRequestId(UUID.randomUUID().toString()).build();
    try {
      var answer = call().verifyBankCard(request);
      OUT.printf("%s: %s, %s, %s, %s%n",
          label, answer.getVerdict(), answer.getResult(), answer.getFactors(), answer.getCharge());
    } catch (StatusRuntimeException error) {
      printError(label, error);
    }
  }

  private void query(String label, String card) {
    var request = QueryCardInfoRequest.newBuilder()
        .setBankCard(card).setRequestId(UUID.randomUUID().toString()).build();
    try {
      var answer = call().queryCardInfo(request);
      OUT.printf("%s: %s, %s (%s), %s, %s%n", label, answer.getResult(), answer.getBankName(),
          answer.getBankCode(), answer.getCardType(), answer.getNetwork());
    } catch (StatusRuntimeException error) {
      printError(label, error);
    }
  }

  private static void printError(String label, StatusRuntimeException error) {
    OUT.printf("%s: %s%n", label, error.getStatus().getCode());
    Status status = StatusProto.fromThrowable(error);
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          var reason = detail.unpack(ErrorInfo.class);
          OUT.printf("  reason %s of %s%n", reason.getReason(), reason.getDomain());
          new TreeMap<>(reason.getMetadataMap()).forEach((name, value) -> OUT.printf("  %s: %s%n", name, value));
        }
      }
      for (Any detail : status.getDetailsList()) {
        if (detail.is(BadRequest.class)) {
          for (var violation : detail.unpack(BadRequest.class).getFieldViolationsList()) {
            OUT.printf("  field %s: %s, %s%n",
                violation.getField(), violation.getReason(), violation.getDescription());
          }
        } else if (detail.is(RetryInfo.class)) {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          OUT.printf("  again after %d ms%n", delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000);
        }
      }
    } catch (InvalidProtocolBufferException broken) {
      throw new IllegalStateException("an error detail cannot be decoded", broken);
    }
  }

  /** Reads the service config; a channel takes it as maps, lists and doubles, as Gson makes them. */
  @SuppressWarnings("unchecked")
  private static Map<String, ?> serviceConfig() throws java.io.IOException {
    return new Gson().fromJson(Files.readString(Path.of("../service-config.json")), Map.class);
  }

  public static void main(String[] arguments) throws Exception {
    String target = arguments.length > 0 ? arguments[0] : "localhost:50051";
    ManagedChannel channel = Grpc.newChannelBuilder("dns:///" + target, InsecureChannelCredentials.create())
        .defaultServiceConfig(serviceConfig())
        .build();
    try {
      var client = new Client(channel);
      client.verify("match", VerifyBankCardRequest.newBuilder().setBankCard("6200000100000012")
          .setName("张三").setIdNumber("11010519491231002X").setPhone("13800138000"));
      client.verify("mismatch", VerifyBankCardRequest.newBuilder().setBankCard("6200000100000020").setName("张三"));
      client.query("card", "622202");
      client.verify("bad request",
          VerifyBankCardRequest.newBuilder().setBankCard("1234").setName("J0hn").setPhone("555-1234"));
      client.verify("no vendor", VerifyBankCardRequest.newBuilder().setBankCard("6200000400000027").setName("张三"));
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }
}
