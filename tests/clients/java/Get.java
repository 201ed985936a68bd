// Get LIBRARY URL: prints what the URL answers with 200.
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Get {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[1]);
        if (arguments[0].equals("HttpClient")) {
            HttpRequest request = HttpRequest.newBuilder(uri).build();
            HttpResponse<String> answer =
                    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new Exception("status " + answer.statusCode());
            }
            System.out.println(answer.body());
        } else {
            // throws unless the status is 200
            System.out.write(new URL(arguments[1]).openStream().readAllBytes());
            System.out.flush();
        }
    }
}
