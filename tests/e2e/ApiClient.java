// Calls every endpoint of the service by Java's own HTTP client, with its defaults: an offer of HTTP/2, kept-alive
// connections. Prints a line for each call: what was called, status, media type, version, body on one line.
//
//     java ApiClient.java http://127.0.0.1:3000 KEY sample_transaction.json

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

class ApiClient {
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final String url;
    private final String key;

    ApiClient(String url, String key) {
        this.url = url;
        this.key = key;
    }

    HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(30));
    }

    HttpRequest get(String path) {
        return to(path).header("Authorization", "Bearer " + key).build();
    }

    HttpRequest post(String path, String body) {
        return to(path)
                .header("Authorization", "Bearer " + key)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body))
                .build();
    }

    void print(HttpRequest request, HttpResponse<String> answer) {
        String type = answer.headers().firstValue("content-type").orElse("");
        String body = answer.body().replace("\n", " ").replace("\t", " ");
        String call = request.method() + " " + request.uri().getPath();
        System.out.println(String.join("\t", call, "" + answer.statusCode(), type, "" + answer.version(), body));
    }

    void call(HttpRequest request) throws Exception {
        print(request, client.send(request, BodyHandlers.ofString()));
    }

    void callAtOnce(HttpRequest request, int times) {
        List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
        for (int i = 0; i < times; i++) {
            answers.add(client.sendAsync(request, BodyHandlers.ofString()));
        }
        answers.forEach(answer -> print(request, answer.join()));
    }

    public static void main(String[] arguments) throws Exception {
        ApiClient api = new ApiClient(arguments[0], arguments[1]);
        String transaction = Files.readString(Path.of(arguments[2])).strip();
        String named = transaction.substring(0, transaction.length() - 1) + ", \"transaction_id\": \"java-1\"}";
        api.call(api.post("/predict", named));
        api.call(api.post("/predict_batch", "{\"transactions\": [" + transaction + ", " + named + "]}"));
        api.call(api.post("/feedback", "{\"transaction_id\": \"java-1\", \"is_fraud\": true}"));
        for (String path : "/model /livez /healthz /readyz /metrics /docs.json /schema.json /".split(" ")) {
            api.call(api.get(path));
        }
        api.call(api.post("/predict", "{}"));
        api.call(api.to("/model").build());
        api.callAtOnce(api.post("/predict", transaction), 64);
    }
}
