package org.example.classifier

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.RunningMode
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier.ImageClassifierOptions
import java.io.Closeable

/** A label and its probability. */
data class Answer(val label: String, val probability: Float)

/**
 * The exported file, run by MediaPipe Tasks, which scales and normalises pictures as the metadata in the file say.
 * Several threads may share it; once it is closed it has no answers.
 */
class PictureClassifier(context: Context, maxAnswers: Int = 3) : Closeable {
    private val classifier: ImageClassifier = ImageClassifier.createFromOptions(
        context,
        ImageClassifierOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath(MODEL_ASSET).build())
            .setRunningMode(RunningMode.IMAGE)
            .setMaxResults(maxAnswers)
            .build(),
    )
    private var closed = false

    /** The most probable labels of a picture in ARGB_8888, the best first. */
    @Synchronized
    fun classify(picture: Bitmap): List<Answer> {
        if (closed) return emptyList()
        return classifier.classify(BitmapImageBuilder(picture).build())
            .classificationResult()
            .classifications()
            .first()
            .categories()
            .map { Answer(it.categoryName(), it.score()) }
    }

    @Synchronized
    override fun close() {
        if (!closed) classifier.close()
        closed = true
    }
}
